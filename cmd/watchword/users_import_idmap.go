package main

import (
	"encoding/csv"

	"github.com/watchword-auth/watchword"
)

// An idMap is the table from old ids to new ones.
type idMap struct {
	file *newFile
	csv  *csv.Writer
}

func newIDMap(path string) (*idMap, error) {
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	m := &idMap{file, csv.NewWriter(file)}
	return m, m.csv.Write([]string{"old id", "new id", "email"})
}

func (m *idMap) add(old string, u watchword.User) error {
	return m.csv.Write([]string{old, string(u.ID), string(u.Email)})
}

func (m *idMap) keep() error {
	m.csv.Flush()
	if err := m.csv.Error(); err != nil {
		return err
	}
	return m.file.keep()
}
