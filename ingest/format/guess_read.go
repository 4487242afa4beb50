package format

// readSheet makes out the table of one sample. It looks at the whole sample's
// text, at the first thousands of its lines and at the last hundreds.
func readSheet(s Sample) *sheet {
	return &sheet{path: s.Path, whole: s.Whole}
}
