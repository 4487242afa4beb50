package archive

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// SetClock has k take the time from now.
func (k *Keeper) SetClock(now func() time.Time) { k.now = now }

// Seal makes the checksums of a block right.
func Seal(b []byte) {
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[headerSize:], castagnoli))
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
}
