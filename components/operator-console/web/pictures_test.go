package web_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"edgepdm/test/browser"
	"edgepdm/test/must"
)

// make pictures: what docs/operator-console.md shows. Each page in light, dark and phone width.
func TestPictures(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder: make pictures")
	}
	p := newPlant(t)
	p.busy()
	for name := range addresses {
		for theme, view := range map[string]browser.View{"light": {Width: 1000, Height: 700, Calm: true}, "dark": {Width: 1000, Height: 700, Dark: true, Calm: true}, "phone": {Width: 390, Height: 844, Calm: true}} {
			page := p.open(view, name)
			picture, err := png.Decode(bytes.NewReader(page.Screenshot()))
			must.OK(t, err)
			var out bytes.Buffer
			must.OK(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColors(picture)))
			must.OK(t, os.WriteFile(filepath.Join(dir, name+"-"+theme+".png"), out.Bytes(), 0o644))
		}
	}
}

// fewColors draws a picture with its 32 most frequent colors: a page has few.
func fewColors(picture image.Image) image.Image {
	count := make(map[color.RGBA]int)
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c, _ := color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)
			count[color.RGBA{c.R &^ 7, c.G &^ 7, c.B &^ 7, 255}]++
			count[c] += 2 // what is exactly so is kept
		}
	}
	all := make([]color.RGBA, 0, len(count))
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return count[b] - count[a] })
	palette := make(color.Palette, 0, 32)
	for _, c := range all {
		if len(palette) < cap(palette) && !slices.ContainsFunc(palette, func(p color.Color) bool { return near(p, c) }) {
			palette = append(palette, c)
		}
	}
	out := image.NewPaletted(b, palette)
	draw.Draw(out, b, picture, b.Min, draw.Src)
	return out
}

// near says whether two colors are hard to tell apart.
func near(a, b color.Color) bool {
	r1, g1, b1, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	distance := 0
	for _, d := range [3]int{int(r1>>8) - int(r2>>8), int(g1>>8) - int(g2>>8), int(b1>>8) - int(b2>>8)} {
		distance += d * d
	}
	return distance < 60
}
