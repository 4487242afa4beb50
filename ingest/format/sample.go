package format

import "penstock/ingest"

// sampleSize is how much of a file is taken for a sample, in bytes.
const sampleSize = 1 << 20

// SampleOf returns the beginning of a file, decompressed: at most a mebibyte of
// it. refusal says why the file has none, as when its compression is damaged;
// the error is that of reading. c's stream, if it has one, is read as far as
// needed and not closed; the sample keeps nothing of c.
func SampleOf(c *ingest.Content, limits Limits) (s Sample, refusal string, err error) {
	limits = Settings{Limits: limits}.withDefaults().Limits
	f := feed{step: sampleSize}
	fault, err := f.open(c, &limits)
	for fault == nil && err == nil && !f.final && len(f.window) < sampleSize {
		fault, err = f.more()
	}
	switch {
	case err != nil:
		return Sample{}, "", err
	case fault != nil:
		return Sample{}, fault.reason, err
	}
	text := f.window
	whole := f.final && len(text) <= sampleSize
	text = text[:min(len(text), sampleSize)]
	return Sample{Path: c.File.Path, Text: append([]byte(nil), text...), Whole: whole}, "", nil
}
