// Package format turns the bytes of logger files into columns of readings.
//
// A Profile, written in YAML, describes one layout of CSV files. A Decoder
// finds the profile of a file by its signature, binds the profile to the file's
// header once, and then reads the rows in one pass over the bytes, without a
// string or an allocation for a row or a field.
package format
