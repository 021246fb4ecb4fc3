package pgtest

import "syscall"

// endWithUs makes the kernel end the server when we are killed and cannot: only its folder is left behind then.
func endWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
