//go:build unix

package source

import (
	"os"
	"syscall"
)

// openRegular opens what should be a regular file for reading. It does not
// wait for a writer when a named pipe has taken the file's place.
func openRegular(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
