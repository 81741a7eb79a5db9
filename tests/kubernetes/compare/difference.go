package compare

import (
	"fmt"
	"strings"
)

// Differences returns the lines in which two observations differ, or "" if they are equal. Lines of
// the direct observation start with "-", lines of the proxied one with "+". Of two lines in the
// same place it returns the part that differs, with some context. Everything that is not returned
// is equal.
func Differences(direct, proxied string) string {
	var text strings.Builder
	for _, part := range changes(strings.Split(direct, "\n"), strings.Split(proxied, "\n")) {
		for i := range max(len(part.left), len(part.right)) {
			switch {
			case i >= len(part.right):
				fmt.Fprintf(&text, "-%s\n", part.left[i])
			case i >= len(part.left):
				fmt.Fprintf(&text, "+%s\n", part.right[i])
			default:
				left, right := excerpts(part.left[i], part.right[i])
				fmt.Fprintf(&text, "-%s\n+%s\n", left, right)
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// change is a run of lines that replaces another.
type change struct{ left, right []string }

// cellsMax bounds the table that finds common lines. Longer texts become one change.
const cellsMax = 4 << 20

// changes finds the differing runs by the longest common subsequence of lines.
func changes(a, b []string) (all []change) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > cellsMax {
		return []change{{a, b}}
	}
	common := commonLines(a, b)
	var open change
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if open.left != nil || open.right != nil {
				all, open = append(all, open), change{}
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			open.left = append(open.left, a[i])
			i++
		default:
			open.right = append(open.right, b[j])
			j++
		}
	}
	if open.left != nil || open.right != nil {
		all = append(all, open)
	}
	return all
}

// commonLines returns a table: entry i, j is the length of the longest common subsequence of a[i:]
// and b[j:].
func commonLines(a, b []string) [][]int32 {
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	return common
}

// excerpts cuts two lines to the range from their first to their last difference, with some
// context.
func excerpts(a, b string) (string, string) {
	const some = 40
	begin := 0
	for begin < min(len(a), len(b)) && a[begin] == b[begin] {
		begin++
	}
	end := 0
	for end < min(len(a), len(b))-begin && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	cut := func(text string) string {
		from, to := max(0, begin-some), min(len(text), len(text)-end+some)
		text, dots := strings.ToValidUTF8(text[from:to], "?"), [2]string{}
		if from > 0 {
			dots[0] = "…"
		}
		if end > some {
			dots[1] = "…"
		}
		return dots[0] + text + dots[1]
	}
	return cut(a), cut(b)
}

// Brief returns the first lines of differences, each truncated, for a table.
func Brief(differences string) string {
	const lines, columns = 8, 200
	all := strings.Split(strings.TrimSpace(differences), "\n")
	var text strings.Builder
	for i, line := range all {
		if i == lines {
			fmt.Fprintf(&text, "\n           and %d more lines", len(all)-lines)
			break
		}
		if len(line) > columns {
			line = strings.ToValidUTF8(line[:columns], "") + "…"
		}
		text.WriteString("\n           " + line)
	}
	return text.String()
}
