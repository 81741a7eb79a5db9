package compare

import (
	"fmt"
	"strings"
)

// Differences is all that two observations do not share, line by line, and "" if nothing. A line that
// only the direct one has begins with "-", one that only the other has with "+". Of two that stand in
// each other's place only what differs is told, with some text around it. What is not told is the same.
func Differences(direct, through string) string {
	var text strings.Builder
	for _, part := range parts(strings.Split(direct, "\n"), strings.Split(through, "\n")) {
		for i := range max(len(part.left), len(part.right)) {
			switch {
			case i >= len(part.right):
				fmt.Fprintf(&text, "-%s\n", part.left[i])
			case i >= len(part.left):
				fmt.Fprintf(&text, "+%s\n", part.right[i])
			default:
				left, right := around(part.left[i], part.right[i])
				fmt.Fprintf(&text, "-%s\n+%s\n", left, right)
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// part is a run of lines in place of another one.
type part struct{ left, right []string }

// cellsMax bounds the table by which common lines are found; what is longer is one part.
const cellsMax = 4 << 20

// parts finds what differs by the longest common subsequence of lines.
func parts(a, b []string) (all []part) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > cellsMax {
		return []part{{a, b}}
	}
	common := commonLines(a, b)
	var open part
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if open.left != nil || open.right != nil {
				all, open = append(all, open), part{}
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

// commonLines is how many lines what follows i and j has in common at most.
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

// around cuts two lines to what lies between their first difference and their last, with some text
// before and after it.
func around(a, b string) (string, string) {
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

// Brief is the first lines of differences, each cut, for a table.
func Brief(differences string) string {
	const lines, columns = 8, 200
	all := strings.Split(strings.TrimSpace(differences), "\n")
	var text strings.Builder
	for i, line := range all {
		if i == lines {
			fmt.Fprintf(&text, "\n           and %d lines more", len(all)-lines)
			break
		}
		if len(line) > columns {
			line = strings.ToValidUTF8(line[:columns], "") + "…"
		}
		text.WriteString("\n           " + line)
	}
	return text.String()
}
