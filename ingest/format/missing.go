package format

// usualMissing is the word among the spellings of missing that stands for
// usuallyMissing.
const usualMissing = "usual"

// usuallyMissing are spellings that nobody means a reading by. The package
// documentation lists them. Recipes have them by that one word and are read alike
// for ever, so the list stays as it is.
var usuallyMissing = []string{
	"NAN", "NaN", "nan", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "null", "NULL", "Null", "None", "none",
	"-", "--", "---", "–", "—", "----", "-----", "?", "M", "MM", "*", "***", "1.#QNAN", "-1.#IND", "#VALUE!", "#DIV/0!", "INF", "-INF",
	"missing", "unavailable", "unknown", "No Data", "no data", "NoData",
}
