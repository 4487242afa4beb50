package format

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// With returns the profile with the answers to questions taken up, and channels
// carried on under other names. Each of sets is key=value: the key is that of a
// question (zone, order, layout, decimal, thousands, delimiter, encoding,
// logger, channel, unit, repeated_hour, gap, clock, take, missing, other_unit,
// columns_are, header) or a
// path into the profile such as timestamp.zone. renames are from a channel's
// name in the files to the one it is to have. Comments stay. The profile itself
// is not changed; the error says which answer cannot be taken, and why.
func (p *Profile) With(sets []string, renames map[string]string) (*Profile, error) {
	if len(sets) == 0 && len(renames) == 0 {
		return p, nil
	}
	var doc yaml.Node
	if err := unmarshal([]byte(p.Text), &doc); err != nil {
		return nil, yamlFaults(p.File, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 || strictyaml.Resolve(doc.Content[0]).Kind != yaml.MappingNode {
		return nil, &Fault{File: p.File, Text: "the profile is no mapping, so that no answer can be taken up"}
	}
	root := strictyaml.Resolve(doc.Content[0])
	for _, set := range sets {
		key, value, ok := strings.Cut(set, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q is no answer: write it as key=value, such as zone=Europe/London", set)
		}
		if err := answer(root, strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("taking up %s: %w", set, err)
		}
		closeOpen(root, set)
	}
	for _, from := range slices.Sorted(maps.Keys(renames)) {
		setNode(mappingIn(root, "rename"), from, textNode(renames[from]))
	}
	text, err := p.rewritten(&doc)
	if err != nil {
		return nil, fmt.Errorf("writing the answered profile: %w", err)
	}
	answered, err := Parse(p.File, []byte(text))
	if err != nil {
		return nil, fmt.Errorf("the profile with %s: %w", strings.Join(sets, ", "), err)
	}
	return answered, nil
}

// answer takes one answer up.
func answer(root *yaml.Node, key, value string) error {
	stamp := func() *yaml.Node { return mappingIn(root, "timestamp") }
	dialect := func() *yaml.Node { return mappingIn(root, "dialect") }
	switch key {
	case "zone":
		if _, err := ParseZone(value); err != nil {
			return err
		}
		withoutGroup(stamp(), "zone")
		setNode(stamp(), "zone", textNode(value))
	case "timestamp.zone":
		return answer(root, "zone", value)
	case "timestamp.column":
		answerColumn(root, value)
	case "order":
		return answerOrder(stamp(), order(value))
	case "layout", "timestamp.layout":
		dropNode(stamp(), "layouts")
		dropNode(stamp(), "one_of")
		setNode(stamp(), "layout", textNode(value))
	case "decimal", "dialect.decimal":
		if value != "." && value != "," {
			return fmt.Errorf("the decimal sign is . or , and not %q", value)
		}
		if old := nodeOf(dialect(), "thousands"); old != nil && old.Value == value {
			dropNode(dialect(), "thousands")
		}
		setNode(dialect(), "decimal", quotedNode(value))
	case "thousands", "dialect.thousands":
		if value == "." || value == "," {
			setNode(dialect(), "decimal", quotedNode(string(other(value[0]))))
		}
		setNode(dialect(), "thousands", quotedNode(value))
	case "encoding":
		if old := nodeOf(dialect(), key); old != nil {
			readAgain(root, old.Value, value)
		}
		setNode(dialect(), key, quotedNode(value))
	case "delimiter":
		setNode(dialect(), key, quotedNode(value))
	case "logger", "channel", "unit":
		if value == "" {
			return errors.New("the name is empty")
		}
		constant := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle}
		setNode(constant, "constant", quotedNode(value))
		setNode(root, key, constant)
	case "repeated_hour", "gap", "clock":
		setNode(stamp(), key, textNode(value))
	case "take":
		interval := nodeOf(stamp(), "interval")
		if interval == nil {
			return errors.New("the timestamp is no interval; name its column instead: timestamp.column=NAME")
		}
		setNode(strictyaml.Resolve(interval), "take", textNode(value))
	case "missing":
		if value != "" {
			addMissing(root, value)
		}
	case "doubt", "samples":
		if want := map[string]string{"doubt": "none", "samples": "first"}[key]; value != want {
			return fmt.Errorf("the answer is %s, or another profile", want)
		}
	case "columns_are":
		return answerColumnsAre(root, value)
	case "other_unit":
		if value != "reject" {
			return errors.New("the answer is reject; to convert readings, give their series a factor in the loggers table")
		}
	case "header":
		if value != "yes" {
			return errors.New("the answer is yes, or a profile that names the columns: framing.columns=[NAME, ...]")
		}
	default:
		return setPath(root, key, value)
	}
	return nil
}

// setPath sets what a dotted path leads to.
func setPath(root *yaml.Node, key, value string) error {
	parts := strings.Split(key, ".")
	if strings.HasPrefix(key, "timestamp.zones.") {
		parts = strings.SplitN(key, ".", 3) // a zone's name may have points in it
	}
	if len(parts) == 1 && !slices.Contains([]string{"name", "description", "source", "shape", "value", "quality", "others", "quoted_text", "repeated", "factor"}, key) {
		return fmt.Errorf("there is no answer called %q; there are zone, order, layout, decimal, thousands, delimiter, encoding, logger, channel, unit, repeated_hour, gap, clock, take, missing, other_unit, columns_are, header, and paths such as timestamp.zone", key)
	}
	n := root
	for _, part := range parts[:len(parts)-1] {
		if n = mappingIn(n, part); n == nil {
			return fmt.Errorf("%s is no mapping in the profile", part)
		}
	}
	node := textNode(value)
	if strings.HasPrefix(value, "[") || strings.HasPrefix(value, "{") || strings.HasPrefix(value, `"`) {
		var doc yaml.Node
		if err := unmarshal([]byte(value), &doc); err != nil {
			return fmt.Errorf("%q is no YAML: %w", value, err)
		}
		node = doc.Content[0]
	}
	setNode(n, parts[len(parts)-1], node)
	return nil
}

// answerColumnsAre makes what the names of columns name loggers, or channels.
func answerColumnsAre(root *yaml.Node, value string) error {
	from, to := "(?P<logger>", "(?P<channel>"
	switch value {
	case "logger":
		from, to = to, from
		dropNode(root, "logger")
		setNode(root, "columns_are", textNode(value))
		if nodeOf(root, "channel") == nil {
			return errors.Join(answer(root, "channel", "value"), renameGroups(root, from, to))
		}
	case "channel":
		if nodeOf(root, "logger") == nil {
			return errors.New("the profile has no logger of the file to be theirs; give it one first: logger=NAME")
		}
		dropNode(root, "columns_are")
		dropNode(root, "channel")
	default:
		return fmt.Errorf("the columns are logger or channel, not %q", value)
	}
	return renameGroups(root, from, to)
}

// renameGroups renames a group in the patterns of the profile's channels.
func renameGroups(root *yaml.Node, from, to string) error {
	list := nodeOf(root, "channels")
	if list == nil {
		return nil
	}
	for _, rule := range list.Content {
		if column := nodeOf(strictyaml.Resolve(rule), "column"); column != nil && column.Kind == yaml.MappingNode {
			if match := nodeOf(column, "match"); match != nil {
				match.Value = strings.ReplaceAll(match.Value, from, to)
			}
		}
	}
	return nil
}

// answerColumn makes another column the timestamp. The one that was it until now
// holds no readings either.
func answerColumn(root *yaml.Node, value string) {
	stamp := mappingIn(root, "timestamp")
	old := nodeOf(stamp, "column")
	shape := nodeOf(root, "shape")
	if old != nil && old.Value != value && shape != nil && shape.Value != shapeLong {
		ignore := mappingIn(root, "ignore")
		list := nodeOf(ignore, "columns")
		if list == nil {
			list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
			setNode(ignore, "columns", list)
		}
		if list.Kind == yaml.SequenceNode {
			was := *old
			was.LineComment = ""
			list.Content = append(list.Content, &was)
		}
	}
	dropNode(stamp, "columns")
	setNode(stamp, "column", textNode(value))
}

// answerOrder makes the layouts of the date that order.
func answerOrder(stamp *yaml.Node, o order) error {
	if o != orderDMY && o != orderMDY && o != orderYMD {
		return fmt.Errorf("the order of the date is dmy, mdy or ymd, not %q", string(o))
	}
	for _, key := range []string{"one_of", "layout", "layouts"} {
		n := nodeOf(stamp, key)
		if n == nil {
			continue
		}
		list := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			list = n.Content
		}
		var kept []*yaml.Node
		var texts []string
		some := false
		for _, item := range list {
			text, had := reorder(item.Value, o)
			some = some || had != ""
			if key == "one_of" && had != "" && had != o {
				continue
			}
			if slices.Contains(texts, text) {
				continue
			}
			item.Value = text
			kept, texts = append(kept, item), append(texts, text)
		}
		if !some {
			return fmt.Errorf("no layout has day and month as numbers: %s", strings.Join(texts, ", "))
		}
		if len(kept) == 0 {
			text, _ := reorder(list[0].Value, o)
			kept = []*yaml.Node{textNode(text)}
		}
		dropNode(stamp, key)
		if len(kept) == 1 {
			setNode(stamp, "layout", kept[0])
		} else {
			setNode(stamp, "layouts", &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: kept})
		}
		return nil
	}
	return errors.New("the timestamp has no layout")
}

var (
	goDate   = lazily(`(2006|06|01|02|1|2)([-/. ])(2006|06|01|02|1|2)([-/. ])(2006|06|01|02|1|2)`)
	strfDate = lazily(`(%[YymdeD-]+)([-/. ])(%[Yymde-]+)([-/. ])(%[Yymde-]+)`)
)

// reorder writes the date of a layout in the order o, and says which it had; ""
// when the layout has no date of numbers.
func reorder(layout string, o order) (text string, had order) {
	for _, re := range []*regexp.Regexp{goDate(), strfDate()} {
		m := re.FindStringSubmatchIndex(layout)
		if m == nil {
			continue
		}
		fields := make(map[byte]string)
		for _, i := range []int{1, 3, 5} {
			field := layout[m[2*i]:m[2*i+1]]
			kind := map[string]byte{"2006": 'y', "06": 'y', "%Y": 'y', "%y": 'y', "01": 'm', "1": 'm', "%m": 'm', "%-m": 'm'}[field]
			if kind == 0 {
				kind = 'd'
			}
			fields[kind] = field
			had += order(kind)
		}
		if len(fields) < 3 {
			continue
		}
		return layout[:m[0]] + fields[o[0]] + layout[m[4]:m[5]] + fields[o[1]] + layout[m[8]:m[9]] + fields[o[2]] + layout[m[1]:], had
	}
	return layout, ""
}

// withoutGroup takes a group out of the patterns of the timestamp's columns,
// which keep matching what they matched.
func withoutGroup(stamp *yaml.Node, group string) {
	columns := []*yaml.Node{nodeOf(stamp, "column")}
	if list := nodeOf(stamp, "columns"); list != nil {
		columns = append(columns, list.Content...)
	}
	for _, c := range columns {
		if c == nil || strictyaml.Resolve(c).Kind != yaml.MappingNode {
			continue
		}
		if m := nodeOf(strictyaml.Resolve(c), "match"); m != nil {
			m.Value = strings.ReplaceAll(m.Value, "(?P<"+group+">", "(?:")
		}
	}
}

func addMissing(root *yaml.Node, value string) {
	list := nodeOf(root, "missing")
	switch {
	case list == nil:
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		setNode(root, "missing", list)
	case list.Kind != yaml.SequenceNode:
		one := *list
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: []*yaml.Node{&one}}
		setNode(root, "missing", list)
	}
	if !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return n.Value == value }) {
		list.Content = append(list.Content, quotedNode(value))
	}
}

// textNode is a scalar: of a number a number, since columns have both.
func textNode(s string) *yaml.Node {
	if _, ok := integerOf(s); ok {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: s}
	}
	if s == "true" || s == "false" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: s}
	}
	if plainScalar(s) && scalar(s) == s {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	}
	return quotedNode(s)
}

func quotedNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

// nodeOf is the value of a key, or nil.
func nodeOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return strictyaml.Resolve(mapping.Content[i+1])
		}
	}
	return nil
}

// setNode gives a key its value; what was said of the line stays beside it.
func setNode(mapping *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			old := mapping.Content[i+1]
			if value != old && value.LineComment == "" {
				value.LineComment = old.LineComment
			}
			mapping.Content[i+1] = value
			return
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

func dropNode(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

// mappingIn is the mapping under a key, which it makes when there is none; nil
// when the key has another value.
func mappingIn(mapping *yaml.Node, key string) *yaml.Node {
	if n := nodeOf(mapping, key); n != nil {
		if n.Kind != yaml.MappingNode {
			return nil
		}
		return n
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	setNode(mapping, key, n)
	return n
}
