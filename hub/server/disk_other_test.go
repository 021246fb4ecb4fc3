//go:build !linux

package server_test

import "testing"

const onLinuxAlone = "SKIPPED: a small disk, and a limit to another process's files, are to be had on Linux alone"

func TestTheDiskIsFull(t *testing.T) { t.Skip(onLinuxAlone) }

func filesMayNotGrow(t *testing.T, _ string) { t.Skip(onLinuxAlone) }
