package ipc

//go:generate go run ./internal/generate
