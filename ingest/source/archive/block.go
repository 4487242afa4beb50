package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A pack is a row of blocks, each with a header of headerSize bytes:
//
//	0  "PNK1"
//	4  kind
//	5  1 where a run begins, else 0
//	6  zero
//	8  length of what follows the header, bytes, little-endian as all numbers are
//	12 how many bytes it decompresses to
//	16 CRC-32C of what follows
//	20 CRC-32C of the 20 bytes before
//
// The first block of a pack tells what it is, as JSON. The others carry
// records, compressed by zstd (RFC 8878). A run is a zstd frame: it may be
// spread over several blocks, for whatever Sync makes durable is flushed, and
// what comes after it in the run is compressed with it in view. So files that
// come one at a time take half of what they would each by itself. A run ends
// once it holds runSize bytes, and is all that must be decompressed to reach a
// record in it.
const (
	blockMagic = "PNK1"
	headerSize = 24

	aboutBlock   = 'a'
	recordsBlock = 'r'
	endBlock     = 'e' // the writer closed the pack, or another found its end

	runSize   = 128 << 10
	blockSize = 256 << 10 // the most that a block decompresses to
	maxBlock  = 2 * blockSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that a pack ends within a block, or with one that is none: its
// writer was killed, or is at it.
var errTorn = errors.New("the pack is cut or damaged here")

// A block is the header of one.
type block struct {
	kind   byte
	first  bool // of its run
	length int
	raw    int
	crc    uint32
}

// put appends header and payload to b.
func (h block) put(b, payload []byte) []byte {
	start := len(b)
	b = append(b, blockMagic...)
	first := byte(0)
	if h.first {
		first = 1
	}
	b = append(b, h.kind, first, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.raw))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, payload...)
}

// parseBlock reads a header. It vouches for nothing behind it.
func parseBlock(b []byte) (h block, ok bool) {
	if len(b) < headerSize || string(b[:4]) != blockMagic || crc32.Checksum(b[:20], castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return h, false
	}
	h = block{kind: b[4], first: b[5] == 1, length: int(binary.LittleEndian.Uint32(b[8:])), raw: int(binary.LittleEndian.Uint32(b[12:])),
		crc: binary.LittleEndian.Uint32(b[16:])}
	return h, h.length <= maxBlock && h.raw <= blockSize
}

// readBlock reads the block at an offset, its payload into buf. At the end of
// the file the error is io.EOF, and errTorn where there is no whole block.
func readBlock(r io.ReaderAt, at int64, buf []byte) (block, []byte, error) {
	var head [headerSize]byte
	n, err := r.ReadAt(head[:], at)
	if n == 0 && errors.Is(err, io.EOF) {
		return block{}, buf, io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return block{}, buf, err
	}
	h, ok := parseBlock(head[:n])
	if !ok {
		return block{}, buf, fmt.Errorf("%w, at byte %d", errTorn, at)
	}
	if cap(buf) < h.length {
		buf = make([]byte, max(h.length, blockSize))
	}
	buf = buf[:h.length]
	if _, err := r.ReadAt(buf, at+headerSize); err != nil && !errors.Is(err, io.EOF) {
		return block{}, buf, err
	}
	if crc32.Checksum(buf, castagnoli) != h.crc {
		return block{}, buf, fmt.Errorf("%w, at byte %d", errTorn, at)
	}
	return h, buf, nil
}

// size is how many bytes the block takes in the pack.
func (h block) size() int64 { return headerSize + int64(h.length) }
