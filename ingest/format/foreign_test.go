package format

import (
	"math/rand/v2"
	"strings"
	"testing"

	"penstock/ingest"
)

// TestForeign shows what is said of files that are no table of readings, and
// that nothing is said of those that may be one.
func TestForeign(t *testing.T) {
	noise := make([]byte, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	rows := strings.Repeat("2024-01-01 00:00,1.5,2\n", 40)
	for _, c := range []struct{ name, text, want string }{
		{"a spreadsheet", "PK\x03\x04\x14\x00\x06\x00[Content_Types].xml....PK\x03\x04xl/workbook.xml", "the file is an Excel workbook (.xlsx); export its sheet as CSV"},
		{"an open spreadsheet", "PK\x03\x04\x14\x00\x00\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK", "the file is an OpenDocument spreadsheet (.ods); export its sheet as CSV"},
		{"an old spreadsheet", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "the file is an old Office document (.xls, .doc); export its table as CSV"},
		{"TOB1", "\"TOB1\",\"S\",\"CR1000\"\n", "the file is a binary Campbell Scientific TOB1 file; convert it to TOA5"},
		{"XML", "<?xml version=\"1.0\"?>\n<station>\n<v>1</v>\n</station>\n", `the file is XML, not a table: it begins with "<?xml version=\"1.0\"?>\n<station>\n<v>1</v>\n</station>\n"`},
		{"XML in one line", "\n <data><v>1</v></data>", `the file is XML, not a table: it begins with "<data><v>1</v></data>"`},
		{"HTML", "<!DOCTYPE html>\n<html><body>404</body></html>\n", "the file is an HTML page, not a table; if it was downloaded, it may be the server's error message"},
		{"HTML without a type", "<HTML>\n<p>no\n</HTML>", "the file is an HTML page, not a table; if it was downloaded, it may be the server's error message"},
		{"JSON", "[{\"Timestamp\":\"01/10/2015 09:00:00\",\"Value\":1.0}]", `the file is JSON, not a table: it begins with "[{\"Timestamp\":\"01/10/2015 09:00:00\",\"Value\":1.0}]"`},
		{"JSON by lines", "{\"v\":1}\n{\"v\":2}\n", `the file is JSON, not a table: it begins with "{\"v\":1}\n{\"v\":2}\n"`},
		{"noise", string(noise), "the file is binary, not text: byte"},
		{"a text header over binary data", "Model X200\nSerial: 17\nDATA\n" + string(noise), "the file is text for its first 3 lines only, and what follows from byte 28 on is binary; export it as text with the maker's own program"},
		{"one line over binary data", "HOBOware\r\n\x01\x02\x03\x04\x00\x00\x05\x06", "the file is text for its first line only, and what follows from byte 11 on is binary; export it as text with the maker's own program"},
		{"a table", "time,a,b\n" + rows, ""},
		{"a table below a tag", "<station 7>\n" + rows, ""},
		{"a section", "[Logger settings]\nSerial = 7\n" + rows, ""},
		{"a table of brackets", "[1],[2]\n" + rows, ""},
		{"Cyrillic in windows-1251", string(encoded(t, "windows-1251", strings.Repeat("Время;Уровень воды\n", 20))), ""},
		{"NUL bytes in a text", strings.ReplaceAll(rows, "\n", "\x00\n"), ""},
		{"NUL bytes at its end", rows + strings.Repeat("\x00", 5000), ""},
		{"two stray controls", rows + "\x01\x02" + rows, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := foreign([]byte(c.text))
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("%q\nwant %q", got, c.want)
			}
		})
	}
}

// TestForeignIsQuarantined holds that such a file is refused with that sentence,
// in whatever encoding it is, and that one whose header is a known one is told
// by its first line that is no text.
func TestForeignIsQuarantined(t *testing.T) {
	const xml = "<?xml version=\"1.0\"?>\n<a/>\n"
	for _, text := range []string{xml, string(encoded(t, "utf-16le", xml)), zstded(t, xml)} {
		o := decodeEveryWay(t, wideOf("signature: {header: [time], others: true}\nframing: {preamble: find}"), "a.csv", []byte(text))
		if o.State != ingest.Quarantined || !strings.HasPrefix(o.Reason, "the file is XML, not a table") {
			t.Errorf("%s %s", o.State, o.Reason)
		}
	}
	o := decodeEveryWay(t, wideOf(""), "a.csv", []byte("time,a\n"+strings.Repeat("\x01\x02\x00\x00\x03\x80\n", 30)))
	if want := "30 of 30 lines could not be read; the first is line 2: its bytes are no text: 01 02 00 00 03 80"; o.State != ingest.Quarantined || o.Reason != want {
		t.Errorf("%s %s\nwant %s", o.State, o.Reason, want)
	}
}
