package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// magics are the first bytes of files that are no text, or none that can be
// read as it stands.
var magics = []struct{ magic, is string }{
	{"PK\x05\x06", "an empty zip archive"},
	{"%PDF-", "a PDF document"},
	{"{\\rtf", "an RTF document"},
	{"\x89PNG\r\n\x1a\n", "a PNG image"},
	{"\xff\xd8\xff", "a JPEG image"},
	{"GIF8", "a GIF image"},
	{"II*\x00", "a TIFF image"},
	{"MM\x00*", "a TIFF image"},
	{"SQLite format 3\x00", "an SQLite database"},
	{"\x00\x01\x00\x00Standard ", "an Access database"},
	{"\x7fELF", "a program"},
	{"\xcf\xfa\xed\xfe", "a program"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.xls, .doc); export its table as CSV"},
	{"\x1f\x8b", "compressed by gzip twice; unpack it once"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd twice; unpack it once"},
	{"BZh", "compressed with bzip2, which is not read"},
	{"\xfd7zXZ\x00", "compressed with xz, which is not read"},
	{"\x04\x22\x4d\x18", "compressed with lz4, which is not read"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive, which is not read"},
	{"Rar!\x1a\x07", "a RAR archive, which is not read"},
	{"PAR1", "a Parquet file"},
	{"ARROW1\x00\x00", "an Arrow file"},
	{"\x89HDF\r\n\x1a\n", "an HDF5 or NetCDF-4 file"},
	{"CDF\x01", "a NetCDF file"},
	{"CDF\x02", "a NetCDF file"},
	{"MATLAB 5.0 MAT-file", "a MATLAB file"},
	{"TOB1", "a binary Campbell Scientific TOB1 file; convert it to TOA5"},
	{"\"TOB1\"", "a binary Campbell Scientific TOB1 file; convert it to TOA5"},
	{"\"TOB2\"", "a binary Campbell Scientific TOB2 file; convert it to TOA5"},
	{"\"TOB3\"", "a binary Campbell Scientific TOB3 file; convert it to TOA5"},
	{"\xff\xfe\x00\x00", "UTF-32 text, which is not read; convert it to UTF-8"},
	{"\x00\x00\xfe\xff", "UTF-32 text, which is not read; convert it to UTF-8"},
}

// office tells documents that are zip archives by the names of their members.
var office = []struct{ member, is string }{
	{"xl/", "an Excel workbook (.xlsx); export its sheet as CSV"},
	{"word/", "a Word document (.docx)"},
	{"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods); export its sheet as CSV"},
	{"mimetypeapplication/vnd.oasis.opendocument", "an OpenDocument document"},
}

// firstLook is how much of a file tells what it is and how it is encoded, in
// bytes.
const firstLook = 64 << 10

// foreign says what a file is, of which w is the beginning, that is not text or
// no table; "" when it may be a table. It looks at the first kilobytes only.
func foreign(w []byte) string {
	w = w[:min(len(w), firstLook)]
	for _, m := range magics {
		if bytes.HasPrefix(w, []byte(m.magic)) {
			return "the file is " + m.is
		}
	}
	if bytes.HasPrefix(w, []byte("PK\x03\x04")) {
		for _, o := range office {
			if bytes.Contains(w, []byte(o.member)) {
				return "the file is " + o.is
			}
		}
		return "the file is a zip archive, and one is opened only where its own name ends in .zip and it lies in no other: unpack it, or rename it"
	}
	if len(w) > 262 && string(w[257:262]) == "ustar" {
		return "the file is a tar archive, which is not read: unpack it"
	}
	if is := notAText(w); is != "" {
		return is
	}
	return document(w)
}

// odd reports whether c is a byte that no text holds. Many texts in legacy
// encodings are not valid UTF-8, but none have controls in them.
func odd(c byte) bool {
	return c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\v' && c != 0x1a && c != 0x1b || c == 0x7f
}

// notAText says that w is no text, and from where on. Single NUL bytes in a text
// are no evidence, nor are those that it was padded with at its end.
func notAText(w []byte) string {
	const near = 2048 // how far the evidence is counted
	last := len(w)
	for last > 0 && w[last-1] == 0 {
		last--
	}
	text := w[:last]
	for at, line, from := 0, 1, 0; at < len(text); at++ {
		switch {
		case text[at] == '\n' || text[at] == '\r' && (at+1 == len(text) || text[at+1] != '\n'):
			line, from = line+1, at+1
		case !odd(text[at]):
		case !mostlyOdd(text[at:min(at+near, len(text))]): // a stray byte or two
		case line > 1 && utf8.Valid(text[:from]):
			return fmt.Sprintf("the file is text for %s only, and what follows from byte %d on is binary; export it as text with the maker's own program", lines(line-1), from+1)
		default:
			if nul := bytes.IndexByte(text, 0); nul >= 0 {
				return fmt.Sprintf("the file is binary, not text: byte %d is NUL, and it begins with % x", nul+1, w[:min(len(w), 8)])
			}
			n, _ := count(text)
			return fmt.Sprintf("the file is binary, not text: %d of its first %d bytes are no characters, and it begins with % x", n, len(text), w[:min(len(w), 8)])
		}
	}
	return ""
}

// mostlyOdd reports whether so much of b is no text that it is binary data. NUL
// bytes are weighed less: some loggers leave them in their texts.
func mostlyOdd(b []byte) bool {
	n, nul := count(b)
	return n-nul >= 3 && (n-nul)*20 >= len(b) || nul >= 8 && nul*10 >= len(b)*3
}

// count counts the bytes of b that no text holds, and which of them are NUL.
func count(b []byte) (n, nul int) {
	for _, c := range b {
		if odd(c) {
			n++
		}
	}
	return n, bytes.Count(b, []byte{0})
}

func lines(n int) string {
	if n == 1 {
		return "its first line"
	}
	return fmt.Sprintf("its first %d lines", n)
}

// document says which kind of text w is that is no table: XML, HTML or JSON. A
// table below a first line that looks so is one all the same.
func document(w []byte) string {
	text := bytes.TrimLeft(w, "\ufeff \t\r\n")
	if len(text) == 0 {
		return ""
	}
	switch text[0] {
	case '<':
		if !tagged(text) {
			return ""
		}
		lower := bytes.ToLower(text[:min(len(text), 1024)])
		switch {
		case bytes.HasPrefix(lower, []byte("<!doctype html")) || bytes.Contains(lower, []byte("<html")):
			return "the file is an HTML page, not a table; if it was downloaded, it may be the server's error message"
		default:
			return fmt.Sprintf("the file is XML, not a table: it begins with %q", cut(text[:min(len(text), 60)]))
		}
	case '{', '[':
		if isJSON(text) {
			return fmt.Sprintf("the file is JSON, not a table: it begins with %q", cut(text[:min(len(text), 60)]))
		}
	}
	return ""
}

// tagged reports whether at least half of the lines of a text have tags in
// them.
func tagged(text []byte) bool {
	tags, all := 0, 0
	for len(text) > 0 {
		end, next, _ := lineEnd(text, true)
		line := text[:end]
		text = text[next:]
		if len(trim(line)) == 0 {
			continue
		}
		all++
		if open := bytes.IndexByte(line, '<'); open >= 0 && bytes.IndexByte(line[open:], '>') > 0 || trim(line)[0] == '<' {
			tags++
		}
	}
	return tags*2 >= all
}

// isJSON reports whether text begins as JSON does, for as long as it takes to
// be no accident: a section of an INI file stands in brackets, too.
func isJSON(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	tokens := 0
	for ; tokens < 20; tokens++ {
		if _, err := d.Token(); err != nil {
			// It may only be cut.
			return tokens > 4 || tokens > 1 && !d.More() && d.InputOffset() == int64(len(bytes.TrimRight(text, " \t\r\n")))
		}
	}
	return true
}
