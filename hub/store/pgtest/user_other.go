//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

func asServerUser(*exec.Cmd, string) error {
	return errors.New("a private PostgreSQL server is only run on Unix")
}
