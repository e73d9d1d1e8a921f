package sqlstore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A column is one column of a table, and the struct field that is stored in it. Column names appear only in functions
// such as userRow and sessionRow, which return a list of columns. From such a list, this file derives the columns of
// a query, the parameters of an insert and the destinations of a scan. A new field needs a migration and an entry in
// the list. If the entry is missing, a test of storetest fails.
type column struct {
	name   string // name of the column, or an expression in parentheses, which is only read
	target any    // a pointer to the field, or its sql.Scanner (timeColumn, boolColumn, listColumn, …)
}

// selectList prefixes each name with its table, because sessions and users are joined and share names such as id and
// created_at.
func selectList(table string, columns []column) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = table + "." + c.name
		if strings.HasPrefix(c.name, "(") {
			all[i] = c.name
		}
	}
	return strings.Join(all, ", ")
}

// insertInto returns an INSERT into the table. source is "VALUES (%s)" or "SELECT %s …", where %s becomes the
// parameters $1, $2, … in the order of columns. Times are cast to BIGINT, because PostgreSQL treats an untyped
// parameter of a SELECT as text.
func insertInto(table string, columns []column, source string) string {
	bare, parameters := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		bare[i] = c.name
		parameters[i] = fmt.Sprintf("$%d", i+1)
		if _, isTime := c.target.(timeColumn); isTime {
			parameters[i] = fmt.Sprintf("CAST($%d AS BIGINT)", i+1)
		}
	}
	return "INSERT INTO " + table + " (" + strings.Join(bare, ", ") + ") " +
		fmt.Sprintf(source, strings.Join(parameters, ", "))
}

// placeholderOf returns the parameter ($n) of the named column in insertInto. A clause after the VALUES of the INSERT
// gets the number from here, because the number changes when a column is added.
func placeholderOf(columns []column, name string) string {
	return fmt.Sprintf("$%d", 1+slices.IndexFunc(columns, func(c column) bool { return c.name == name }))
}

// insertArgs returns the values of the columns for the parameters of insertInto, in the same order.
func insertArgs(columns []column) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = columnValue(c.target)
	}
	return all
}

// columnValue converts named string types to string, so that no driver calls a method of the type. For example, the
// methods of watchword.Secret return a redacted text.
func columnValue(field any) any {
	switch f := field.(type) {
	case timeColumn:
		return toMillis(*f.Time)
	case boolColumn:
		if *f.into {
			return 1
		}
		return 0
	case listColumn:
		return encodeList(*f.into)
	case supersededColumn:
		return f.String()
	}
	v := reflect.ValueOf(field).Elem()
	if v.Kind() == reflect.String {
		return v.String()
	}
	return v.Interface()
}

// scanTargets returns the destinations for Scan, in the order of selectList.
func scanTargets(columns []column) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = c.target
	}
	return all
}
