// SPDX-License-Identifier: BSL-1.0

// go-daemon: PROGRAM PIDFILE
package main

import (
	"os"
	"syscall"
	"time"

	"github.com/sevlyar/go-daemon"
)

const longestLife = 300 * time.Second

func main() {
	context := &daemon.Context{PidFileName: os.Args[1], PidFilePerm: 0644, WorkDir: "/", Umask: 022}
	child, err := context.Reborn()
	if err != nil {
		os.Exit(1)
	}
	if child != nil {
		return
	}
	defer context.Release()
	time.AfterFunc(longestLife, func() { os.Exit(1) })
	daemon.SetSigHandler(func(os.Signal) error { return daemon.ErrStop }, syscall.SIGTERM)
	daemon.ServeSignals()
}
