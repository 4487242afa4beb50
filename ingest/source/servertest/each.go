package servertest

import (
	"fmt"
	"os"
	"testing"
)

// Each runs a test for a server with TLS and for one of SFTP, and for all that
// there are with PENSTOCK_SOAK=1.
func Each(t *testing.T, try func(t *testing.T, kind Kind, mode TLS)) {
	for _, s := range []struct {
		kind Kind
		mode TLS
		soak bool
	}{
		{VSFTPD, Explicit, false},
		{OpenSSH, Plain, false},
		{VSFTPD, Plain, true},
		{VSFTPD, Implicit, true},
		{ProFTPD, Plain, true},
		{ProFTPD, Explicit, true},
		{ProFTPD, Implicit, true},
		{PureFTPD, Plain, true},
		{PureFTPD, Explicit, true},
	} {
		t.Run(fmt.Sprintf("%s/%d", s.kind, s.mode), func(t *testing.T) {
			if s.soak && os.Getenv("PENSTOCK_SOAK") == "" {
				t.Skip("with PENSTOCK_SOAK=1")
			}
			try(t, s.kind, s.mode)
		})
	}
}
