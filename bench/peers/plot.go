package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The plot is SVG: a panel for each group of rows, payload bytes a second over
// what the rows vary, on a logarithmic scale, a line for each contender.
const (
	panelWidth, panelHeight = 520, 300
	marginLeft, marginRight = 70, 20
	marginTop, marginBottom = 40, 36
	legendHeight            = 40
	panelsAcross            = 2
)

var colours = []string{"#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e", "#444444", "#aaaaaa"}

func (t *table) plot() []byte {
	var groups [][]entry
	for _, e := range t.rows {
		if n := len(groups); n > 0 && groups[n-1][0].group == e.group {
			groups[n-1] = append(groups[n-1], e)
		} else {
			groups = append(groups, []entry{e})
		}
	}
	down := (len(groups) + panelsAcross - 1) / panelsAcross
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		panelsAcross*panelWidth, down*panelHeight+legendHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, c := range contenders {
		x := marginLeft + i*118
		fmt.Fprintf(&b, `<path d="M%d 20h22" %s/><text x="%d" y="24">%s</text>`+"\n", x, stroke(i), x+28, c.name)
	}
	for i, rows := range groups {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%panelsAcross*panelWidth, legendHeight+i/panelsAcross*panelHeight)
		panel(&b, rows)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func stroke(i int) string {
	width, dash := "1.5", ""
	switch {
	case contenders[i].raw:
		dash = ` stroke-dasharray="4 3"`
	case contenders[i].name == ours:
		width = "3"
	}
	return fmt.Sprintf(`fill="none" stroke="%s" stroke-width="%s"%s`, colours[i%len(colours)], width, dash)
}

func panel(b *bytes.Buffer, rows []entry) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, e := range rows {
		for _, r := range e.results {
			low, high = min(low, math.Log10(r.rate)), max(high, math.Log10(r.rate))
		}
	}
	low, high = math.Floor(low), max(math.Ceil(high), math.Floor(low)+1)
	x := func(i int) float64 {
		return marginLeft + (float64(i)+0.5)*(panelWidth-marginLeft-marginRight)/float64(len(rows))
	}
	y := func(rate float64) float64 {
		return marginTop + (high-math.Log10(rate))/(high-low)*(panelHeight-marginTop-marginBottom)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="13" font-weight="bold">%s</text>`+"\n", marginLeft, marginTop-16, html.EscapeString(rows[0].group))
	for d := low; d <= high; d++ {
		at := y(math.Pow(10, d))
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			marginLeft, at, panelWidth-marginRight, marginLeft-6, at+4, rateName(math.Pow(10, d)))
	}
	for i, e := range rows {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), panelHeight-marginBottom+18, html.EscapeString(e.label))
	}
	for k := len(contenders) - 1; k >= 0; k-- { // ours last, on top
		path, dots := "", ""
		for i := range rows {
			r := rows[i].find(contenders[k].name)
			if r == nil {
				continue
			}
			step := "L"
			if path == "" {
				step = "M"
			}
			path += fmt.Sprintf("%s%.1f %.1f", step, x(i), y(r.rate))
			dots += fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`, x(i), y(r.rate), colours[k%len(colours)])
		}
		if path != "" {
			fmt.Fprintf(b, `<path d="%s" %s/>%s`+"\n", path, stroke(k), dots)
		}
	}
}

// rateName is bytes a second in words.
func rateName(rate float64) string {
	switch {
	case rate >= 0.99e9:
		return fmt.Sprintf("%.0f GB/s", rate/1e9)
	case rate >= 0.99e6:
		return fmt.Sprintf("%.0f MB/s", rate/1e6)
	case rate >= 0.99e3:
		return fmt.Sprintf("%.0f kB/s", rate/1e3)
	}
	return fmt.Sprintf("%.0f B/s", rate)
}
