package format

import (
	"fmt"
	"strings"
)

// askOfSheets makes questions of what the sheets left open and readings depend
// on. What a header is missing for is asked elsewhere.
func (g *guesser) askOfSheets() {
	for i, sh := range g.sheets {
		for _, f := range sh.findings {
			if f.Sure != Open {
				continue
			}
			q := question{key: f.What}
			switch f.What {
			case "delimiter":
				q.text = "Which character parts the cells, as " + f.Evidence + "?"
			case "encoding":
				q.text = "Which encoding is the text in, as " + f.Evidence + "?"
			case "columns":
				q.key, q.text = "", "Which cells belong together, as "+f.Evidence+"?"
			case "table":
				q.key, q.text = "", "Is the table "+f.Value+" the one that is meant, as "+f.Evidence+"?"
			case "header":
				continue // asked with the names that its columns are given
			default:
				q.key, q.text = "", fmt.Sprintf("About the %s: %s. Which is it?", f.What, strings.TrimRight(f.Evidence, ".?"))
			}
			if f.Sample = i; i > 0 {
				g.find(f)
			}
			g.ask(q)
		}
	}
}
