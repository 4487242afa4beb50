package source_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

// A zipped is one member of an archive made for a test. Raw data stands in the
// archive as it is, whatever the header says of it.
type zipped struct {
	header zip.FileHeader
	data   string
	raw    bool
}

func plain(name, data string) zipped {
	return zipped{header: zip.FileHeader{Name: name, Method: zip.Deflate, Modified: then}, data: data}
}

// zipOf returns an archive of these members.
func zipOf(t testing.TB, members ...zipped) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		create := w.CreateHeader
		if m.raw {
			create = w.CreateRaw
			m.header.CompressedSize64 = uint64(len(m.data))
		}
		f, err := create(&m.header)
		if err == nil {
			_, err = f.Write([]byte(m.data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// deflate packs data as a member's bytes are packed.
func deflate(t testing.TB, data string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipDir returns the source of one archive, all.zip, with these bytes.
func zipDir(t testing.TB, archive []byte, o source.Options) (d *source.Dir, path string) {
	t.Helper()
	root := t.TempDir()
	o.Source = "s"
	put(t, root+"/all.zip", archive, then)
	d = newDir(t, o, root)
	t.Cleanup(func() { d.Close() })
	return d, root + "/all.zip"
}

// fetched fetches one member by its name.
func fetched(t testing.TB, d *source.Dir, name string) (string, error) {
	t.Helper()
	return fetchedFrom(t, d, "all.zip!"+name)
}

func TestZipMembers(t *testing.T) {
	symlink := plain("link.csv", "x.csv")
	symlink.header.SetMode(fs.ModeSymlink | 0o777)
	folder := plain("f/", "")
	folder.header.SetMode(fs.ModeDir | 0o755)
	unixFile := plain("unix.csv", "u")
	unixFile.header.SetMode(0o644)
	d, path := zipDir(t, zipOf(t, plain("x.csv", "first"), folder, symlink, unixFile, plain("nested.zip", "PK"),
		plain("f/y.csv", "y"), plain(".hidden/z.csv", "z"), plain("__MACOSX/._x.csv", "m"), plain("x.csv", "the last one wins")), source.Options{})
	got, faults := listing(t, d)
	if want := []string{"all.zip!f/y.csv", "all.zip!nested.zip", "all.zip!unix.csv", "all.zip!x.csv"}; !slices.Equal(got, want) || len(faults) != 1 {
		t.Errorf("listed %q, %v, want %q", got, faults, want)
	}
	says(t, faults["all.zip!link.csv"], path+"!link.csv", "it is a link, not a regular file")
	if data, err := fetched(t, d, "x.csv"); data != "the last one wins" {
		t.Errorf("of two members named x.csv: %q, %v", data, err)
	}
}

func TestZipPatterns(t *testing.T) {
	archive := zipOf(t, plain("a/x.csv", ""), plain("a/x.txt", ""), plain("old/y.csv", ""), plain("z.csv", ""))
	for _, c := range []struct {
		options source.Options
		want    []string
	}{
		{source.Options{Match: []string{"**/*.csv"}}, []string{"all.zip!a/x.csv", "all.zip!old/y.csv", "all.zip!z.csv"}},
		{source.Options{Match: []string{"*.csv"}}, []string{"all.zip!a/x.csv", "all.zip!old/y.csv", "all.zip!z.csv"}},
		{source.Options{Match: []string{"all.zip!a/*"}}, []string{"all.zip!a/x.csv", "all.zip!a/x.txt"}},
		{source.Options{Match: []string{"**/*.csv"}, Ignore: []string{"**/old"}}, []string{"all.zip!a/x.csv", "all.zip!z.csv"}},
		{source.Options{Ignore: []string{"*.zip"}}, nil},
	} {
		d, _ := zipDir(t, archive, c.options)
		if got, faults := listing(t, d); !slices.Equal(got, c.want) || len(faults) > 0 {
			t.Errorf("%+v: listed %q, %v, want %q", c.options, got, faults, c.want)
		}
	}
}

func TestZipTimes(t *testing.T) {
	//nolint:staticcheck // the DOS fields are deprecated in favour of Modified, which writes the other form as well
	dos := zipped{header: zip.FileHeader{Name: "dos.csv", ModifiedDate: 46<<9 | 1<<5 | 31, ModifiedTime: 23<<11 | 59<<5 | 28}, raw: true}
	none := zipped{header: zip.FileHeader{Name: "none.csv"}, raw: true}
	//nolint:staticcheck // as above
	ntfs := zipped{header: zip.FileHeader{Name: "ntfs.csv", ModifiedDate: 46<<9 | 1<<5 | 31}, raw: true}
	ticks := uint64(then.UnixMicro()+123456)*10 + 116444736000000000
	ntfs.header.Extra = binary.LittleEndian.AppendUint64(append([]byte{0x0a, 0, 32, 0}, 0, 0, 0, 0, 1, 0, 24, 0), ticks)
	ntfs.header.Extra = append(ntfs.header.Extra, make([]byte, 16)...)
	d, _ := zipDir(t, zipOf(t, plain("utc.csv", ""), dos, none, ntfs), source.Options{})
	for name, want := range map[string]ingest.File{
		"utc.csv":  {Modified: ingest.Micros(then), Precision: ingest.Second},
		"dos.csv":  {Modified: ingest.Micros(then.Add(-time.Second)), Precision: ingest.Day},
		"none.csv": {Modified: 0, Precision: ingest.Unknown},
		"ntfs.csv": {Modified: ingest.Micros(then) + 123456, Precision: ingest.Micro},
	} {
		f, err := d.Locate(t.Context(), "all.zip!"+name)
		if f.Modified != want.Modified || f.Precision != want.Precision {
			t.Errorf("%s: %v in steps of %d us, %v", name, ingest.FromMicros(f.Modified), f.Precision, err)
		}
	}
}

// TestZipFaults checks that what is wrong with one member is said of it, and
// disturbs no other.
func TestZipFaults(t *testing.T) {
	text := strings.Repeat("L1,flow,2026-01-01T00:00:00Z,1.5\n", 200)
	packed := deflate(t, text)
	header := func(name string) zip.FileHeader {
		return zip.FileHeader{Name: name, Method: zip.Deflate, Modified: then, UncompressedSize64: uint64(len(text)), CRC32: crc32.ChecksumIEEE([]byte(text))}
	}
	member := func(name, data string, change func(h *zip.FileHeader)) zipped {
		h := header(name)
		change(&h)
		return zipped{h, data, true}
	}
	zeros := deflate(t, strings.Repeat("\x00", ingest.SpoolAbove+1))
	zerosSum := crc32.ChecksumIEEE(make([]byte, ingest.SpoolAbove+1))
	d, path := zipDir(t, zipOf(t,
		member("good.csv", packed, func(*zip.FileHeader) {}),
		member("encrypted.csv", packed, func(h *zip.FileHeader) { h.Flags |= 1 }),
		member("zstd.csv", packed, func(h *zip.FileHeader) { h.Method = 93 }),
		member("crc.csv", packed, func(h *zip.FileHeader) { h.CRC32++ }),
		member("garbled.csv", packed[:20]+"garbage"+packed[27:], func(*zip.FileHeader) {}),
		member("short.csv", packed[:len(packed)/2], func(*zip.FileHeader) {}),
		member("less.csv", packed, func(h *zip.FileHeader) { h.UncompressedSize64++ }),
		member("more.csv", packed, func(h *zip.FileHeader) { h.UncompressedSize64-- }),
		member("stored.csv", packed, func(h *zip.FileHeader) { h.Method = zip.Store }),
		member("\x1b[31m\n.csv", packed, func(h *zip.FileHeader) { h.CRC32++ }),
		member("bomb.csv", zeros, func(h *zip.FileHeader) { h.UncompressedSize64, h.CRC32 = ingest.SpoolAbove+1, zerosSum }),
		member("lying bomb.csv", zeros, func(h *zip.FileHeader) { h.UncompressedSize64 = freeBytes }),
		member("huge.csv", packed, func(h *zip.FileHeader) { h.UncompressedSize64 = 17 << 30 }),
		member("padded.csv", strings.Repeat("\x00", 70000), func(h *zip.FileHeader) { h.UncompressedSize64 = 1 }),
		member("lying huge.csv", strings.Repeat(packed, 10), func(h *zip.FileHeader) { h.UncompressedSize64 = 1 }),
	), source.Options{})
	got, faults := listing(t, d)
	if len(got) != 15 || len(faults) > 0 {
		t.Errorf("listed %q, %v", got, faults)
	}
	for name, parts := range map[string][]string{
		"encrypted.csv":  {"encrypted", "with its password"},
		"zstd.csv":       {"method 93 (zstd)", "unpack the archive"},
		"crc.csv":        {"corrupt", "checksum"},
		"garbled.csv":    {"corrupt"},
		"short.csv":      {"corrupt", "of 6600 bytes"},
		"less.csv":       {"corrupt", "ends after 6600 of 6601 bytes"},
		"more.csv":       {"more than the 6599 bytes it says", "zip bomb"},
		"stored.csv":     {"corrupt", "not packed"},
		"\x1b[31m\n.csv": {`\x1B[31m\x0A.csv`, "checksum"},
		"bomb.csv":       {"16777217 bytes unpacked, from", "zip bomb", "unpack it"},
		"lying bomb.csv": {"more than the 1048576 bytes it says", "zip bomb"},
		"huge.csv":       {"18253611008 bytes unpacked", "zip bomb"},
		"padded.csv":     {"corrupt", "1 bytes has 70000 packed ones"},
		"lying huge.csv": {"more than the 1 bytes it says", "zip bomb"},
	} {
		_, err := fetched(t, d, name)
		says(t, err, append(parts, escaped(path+"!"+name))...)
		if good, err := fetched(t, d, "good.csv"); good != text || err != nil {
			t.Errorf("after %q: %d bytes, %v", name, len(good), err)
		}
	}
}

const freeBytes = 1 << 20

// TestZipStreamFaults is TestZipFaults for members that come as streams.
func TestZipStreamFaults(t *testing.T) {
	sourcetest.OneGoroutine(t)
	var b strings.Builder
	for i := 0; b.Len() <= ingest.SpoolAbove; i++ {
		fmt.Fprintf(&b, "L%d,flow,2026-01-01T00:00:00Z,%d.5\n", i%1000, i*i%977)
	}
	text := b.String()
	packed := deflate(t, text)
	good := zip.FileHeader{Name: "x.csv", Method: zip.Deflate, UncompressedSize64: uint64(len(text)), CRC32: crc32.ChecksumIEEE([]byte(text))}
	for name, c := range map[string]struct {
		data   string
		change func(h *zip.FileHeader)
		want   string
	}{
		"good":    {packed, func(*zip.FileHeader) {}, ""},
		"stored":  {text, func(h *zip.FileHeader) { h.Method = zip.Store }, ""},
		"crc":     {packed, func(h *zip.FileHeader) { h.CRC32++ }, "checksum"},
		"less":    {packed, func(h *zip.FileHeader) { h.UncompressedSize64 += 9 }, "the member ends after"},
		"more":    {packed, func(h *zip.FileHeader) { h.UncompressedSize64 = ingest.SpoolAbove + 1 }, "zip bomb"},
		"short":   {packed[:len(packed)-1000], func(*zip.FileHeader) {}, "packed data ends early"},
		"garbled": {packed[:len(packed)/2] + strings.Repeat("\xff", len(packed)/2), func(*zip.FileHeader) {}, "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			h := good
			c.change(&h)
			d, path := zipDir(t, zipOf(t, zipped{h, c.data, true}), source.Options{})
			var content ingest.Content
			if err := d.Fetch(t.Context(), ingest.File{Path: "all.zip!x.csv"}, &content); err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(content.Stream)
			closed := content.Close()
			if c.want == "" {
				if err != nil || closed != nil || string(data) != text {
					t.Errorf("%d bytes of %d, %v, %v", len(data), len(text), err, closed)
				}
				return
			}
			says(t, err, path+"!x.csv", c.want)
			says(t, closed, c.want)
			if len(data) > int(h.UncompressedSize64) {
				t.Errorf("read %d bytes of the %d that the archive says", len(data), h.UncompressedSize64)
			}
		})
	}
}

// TestBrokenArchives checks what is said of archives that cannot be listed,
// while the files beside them are.
func TestBrokenArchives(t *testing.T) {
	good := zipOf(t, plain("x.csv", "x,1\n"), plain("y.csv", "y,1\n"))
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"empty file":   {nil, "empty: 0 bytes"},
		"not a zip":    {[]byte("a,b,c\n1,2,3\n"), `begins with "a,b,"`},
		"one byte":     {[]byte("P"), `begins with "P"`},
		"cut in half":  {good[:len(good)/2], "cut short"},
		"cut at end":   {good[:len(good)-1], "cut short"},
		"start lost":   {good[38:], "begins with"},
		"joined":       {append(slices.Clone(good), good...), "belong to no member"},
		"middle lost":  {append(slices.Clone(good[:20]), good[25:]...), "5 bytes are missing"},
		"overlapping":  {overlapping(t, 1000), "zip bomb"},
		"many volumes": {volumes(good), "last part of several"},
	} {
		t.Run(name, func(t *testing.T) {
			d, path := zipDir(t, c.archive, source.Options{})
			put(t, filepath.Dir(path)+"/beside.csv", []byte("b"), then)
			got, faults := listing(t, d)
			if !slices.Equal(got, []string{"beside.csv"}) || len(faults) != 1 {
				t.Errorf("listed %q, %v", got, faults)
			}
			says(t, faults["all.zip"], "open "+path, c.want)
			_, err := fetched(t, d, "x.csv")
			says(t, err, path+"!x.csv", c.want)
		})
	}
	d, _ := zipDir(t, zipOf(t), source.Options{})
	if got, faults := listing(t, d); len(got)+len(faults) > 0 {
		t.Errorf("of an archive without members: %q, %v", got, faults)
	}
}

// overlapping returns an archive in which n members have the same bytes, 1 MiB
// of zeros.
func overlapping(t *testing.T, n int) []byte {
	one := zipOf(t, plain("00000", strings.Repeat("\x00", freeBytes)))
	end := one[len(one)-22:]
	start := binary.LittleEndian.Uint32(end[16:])
	header := one[start : len(one)-22]
	archive := slices.Clone(one[:start])
	for i := range n {
		archive = append(archive, bytes.Replace(header, []byte("00000"), fmt.Appendf(nil, "%05d", i), 1)...)
	}
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(n*len(header)))
	return append(archive, end...)
}

// volumes makes archive say that it is the third of three.
func volumes(archive []byte) []byte {
	archive = slices.Clone(archive)
	archive[len(archive)-22+4] = 2
	return archive
}

// TestZip64 lists an archive with more members than fit the old record, and
// one of which the second member begins past 4 GiB.
func TestZip64(t *testing.T) {
	sourcetest.OneGoroutine(t)
	const n = 66000
	var members []zipped
	for i := range n {
		members = append(members, zipped{header: zip.FileHeader{Name: fmt.Sprintf("%05d.csv", i)}, raw: true})
	}
	d, _ := zipDir(t, zipOf(t, members...), source.Options{})
	if got, faults := listing(t, d); len(got) != n || len(faults) > 0 {
		t.Errorf("listed %d, %v", len(got), faults)
	}
	if _, err := fetched(t, d, "65999.csv"); err != nil {
		t.Error(err)
	}

	const huge = 9 << 29 // 4.5 GiB, a hole in the file
	path := t.TempDir() + "/all.zip"
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(holes{file})
	f, err := w.CreateRaw(&zip.FileHeader{Name: "huge.bin", CompressedSize64: huge, UncompressedSize64: huge})
	for range huge / len(hole) {
		if err == nil {
			_, err = f.Write(hole[:])
		}
	}
	if err == nil {
		f, err = w.Create("after.csv")
	}
	if err == nil {
		_, err = f.Write([]byte("after,1\n"))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	d = newDir(t, source.Options{Source: "s"}, filepath.Dir(path))
	t.Cleanup(func() { d.Close() })
	if f, err := d.Locate(t.Context(), "all.zip!huge.bin"); f.Size != huge {
		t.Errorf("located %+v, %v", f, err)
	}
	if data, err := fetched(t, d, "after.csv"); data != "after,1\n" {
		t.Errorf("fetched %q, %v", data, err)
	}
}

var hole [1 << 20]byte

// holes writes holes as holes.
type holes struct{ *os.File }

func (h holes) Write(p []byte) (int, error) {
	if len(p) == len(hole) {
		_, err := h.Seek(int64(len(p)), io.SeekCurrent)
		return len(p), err
	}
	return h.File.Write(p)
}
