package source

import "time"

// KeepGone has the copy of an archive kept for so long when it is not listed any
// more.
func (r *Remote) KeepGone(d time.Duration) { r.copies.gone = d }

// ForgetPorts has ports that were told ahead used for so long.
func (o *FTPOptions) ForgetPorts(after time.Duration) { o.portFor = after }

// Rested is [status.rested] of a file of those times.
func Rested(changed, modified, by int64) bool {
	return (&status{changed: changed, modified: modified}).rested(by)
}
