// Package program checks chronik-server as a program: its exit statuses and error lines, its precedence of settings, its
// HTTP side, its signals, its memory under hostile clients, and what it does when the disk is full.
package program
