package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
)

// toDriverValue converts an argument of a statement to int64, string, []byte or nil. It returns a value of any other
// kind unchanged, and the driver rejects that value.
func toDriverValue(arg any) driver.Value {
	switch arg.(type) {
	case nil, int64, string, []byte:
		return arg
	}
	switch v := reflect.ValueOf(arg); {
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt():
		return v.Int()
	case v.CanUint() && v.Uint() <= 1<<63-1:
		return int64(v.Uint())
	}
	return arg
}

// assignColumn stores the value of a column in dest, which is a sql.Scanner or a pointer. It makes only conversions
// without loss, so a column of the wrong type causes an error.
func assignColumn(dest any, value driver.Value) error {
	if s, ok := dest.(sql.Scanner); ok {
		return s.Scan(value)
	}
	return setValue(reflect.ValueOf(dest).Elem(), value)
}

func setValue(to reflect.Value, value driver.Value) error {
	if to.Kind() == reflect.Pointer { // NULL becomes a nil pointer
		if value == nil {
			to.SetZero()
			return nil
		}
		to.Set(reflect.New(to.Type().Elem()))
		return setValue(to.Elem(), value)
	}
	switch v := value.(type) {
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return nil
		}
	case []byte:
		if to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Uint8 {
			to.SetBytes(v)
			return nil
		}
	case int64:
		switch {
		case to.CanInt() && !to.OverflowInt(v):
			to.SetInt(v)
			return nil
		case to.CanUint() && v >= 0 && !to.OverflowUint(uint64(v)):
			to.SetUint(uint64(v))
			return nil
		case to.Kind() == reflect.Bool && (v == 0 || v == 1):
			to.SetBool(v == 1)
			return nil
		}
	}
	return fmt.Errorf("a %T does not fit into a %s", value, to.Type())
}
