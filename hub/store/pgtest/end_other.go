//go:build !linux

package pgtest

import "syscall"

// endWithUs does nothing: a server whose test was killed has to be ended by hand.
func endWithUs(*syscall.SysProcAttr) {}
