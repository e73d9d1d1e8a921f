package sqlstore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A column is one column of a table and the field of a row that it stores. A list of
// columns is the only place that names them: the columns of a query, the parameters of
// an insert and the destinations of a scan all follow from it. A new field of an
// account is one line in the list (and a migration).
type column struct {
	name  string
	field any // a pointer to the field, or a scanner around one: moment, flag, listColumn, superseded
}

// names lists the columns for a SELECT, each with its table.
func names(table string, columns []column) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = table + "." + c.name
	}
	return strings.Join(all, ", ")
}

// insertInto is an INSERT with a source: "VALUES (%s)", or a SELECT of them. A time gets a
// cast, because PostgreSQL takes a parameter of a SELECT for text.
func insertInto(table string, columns []column, source string) string {
	bare, parameters := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		bare[i] = c.name
		parameters[i] = fmt.Sprintf("$%d", i+1)
		if _, isTime := c.field.(moment); isTime {
			parameters[i] = fmt.Sprintf("CAST($%d AS BIGINT)", i+1)
		}
	}
	return "INSERT INTO " + table + " (" + strings.Join(bare, ", ") + ") " + fmt.Sprintf(source, strings.Join(parameters, ", "))
}

// parameterOf is the parameter of a column in insertInto.
func parameterOf(columns []column, name string) string {
	return fmt.Sprintf("$%d", 1+slices.IndexFunc(columns, func(c column) bool { return c.name == name }))
}

// values are the parameters of insertInto.
func values(columns []column) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = value(c.field)
	}
	return all
}

func value(field any) any {
	switch f := field.(type) {
	case moment:
		return ms(*f.Time)
	case flag:
		if *f.into {
			return 1
		}
		return 0
	case listColumn:
		return list(*f.into)
	case superseded:
		return f.String()
	}
	v := reflect.ValueOf(field).Elem()
	if v.Kind() == reflect.String { // of any type, a secret included
		return v.String()
	}
	return v.Interface()
}

// fields are the destinations of a scan.
func fields(columns []column) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = c.field
	}
	return all
}
