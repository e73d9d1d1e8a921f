package userfile

import (
	"slices"
	"strings"
)

// This file finds values that are nested in JSON objects, and in the lists of objects that some systems write.

// maxNesting is the maximum number of names in a path, such as user.account.state.name.
const maxNesting = 4

// withNested adds nested values to those of an account, with their path as name.
func withNested(values map[string]any) map[string]any {
	all := make(map[string]any, len(values))
	for name, value := range values {
		all[name] = value
		flatten(all, name, value, 1)
	}
	addCognitoAttributes(all, values)
	for _, name := range []string{"emails", "email_addresses", "verifiable_addresses"} {
		list, _ := all[name].([]any)
		if text, ok := first(list).(string); ok {
			all[name] = text
		} else if object := primaryAddress(list, all); object != nil {
			delete(all, name)
			for member, value := range object {
				all[name+"."+member] = value
				flatten(all, name+"."+member, value, 2)
			}
		}
	}
	return all
}

func flatten(all map[string]any, path string, value any, depth int) {
	object, ok := unwrapExtendedJSON(value).(map[string]any)
	if !ok || depth == maxNesting {
		return
	}
	for name, value := range object {
		if strings.HasPrefix(name, "$") { // MongoDB extended JSON, not a member
			continue
		}
		path := path + "." + name
		if _, taken := all[path]; !taken {
			all[path] = value
		}
		flatten(all, path, value, depth+1)
	}
}

func first(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// primaryAddress returns the object that holds the account's address, from a list of addresses.
func primaryAddress(list []any, all map[string]any) map[string]any {
	var objects []map[string]any
	for _, each := range list {
		if object, ok := each.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	i := slices.IndexFunc(objects, func(o map[string]any) bool {
		id, email := all["primary_email_address_id"], all["traits.email"]
		return o["primary"] == true || o["isPrimary"] == true || o["is_primary"] == true ||
			id != nil && o["id"] == id || email != nil && sameText(o["value"], email)
	})
	switch {
	case i >= 0:
		return objects[i]
	case len(objects) > 0 && all["traits.email"] == nil:
		return objects[0]
	}
	return nil
}

func sameText(a, b any) bool {
	one, ok := a.(string)
	other, ok2 := b.(string)
	return ok && ok2 && strings.EqualFold(one, other)
}

// addCognitoAttributes reads the form [{"Name": "email", "Value": "…"}].
func addCognitoAttributes(all, values map[string]any) {
	for _, name := range []string{"Attributes", "UserAttributes"} {
		list, _ := values[name].([]any)
		for _, each := range list {
			object, _ := each.(map[string]any)
			if text, ok := object["Name"].(string); ok && text != "" {
				if _, taken := all[text]; !taken {
					all[text] = object["Value"]
				}
			}
		}
	}
}

// topLevelName returns the top-level member that contains the value with that name. For a Cognito attribute, this is
// the list of attributes.
func topLevelName(name string, values map[string]any) string {
	if _, ok := values[name]; ok {
		return name
	}
	first, _, _ := strings.Cut(name, ".")
	if _, ok := values[first]; ok {
		return first
	}
	for _, list := range []string{"Attributes", "UserAttributes"} {
		if _, ok := values[list]; ok {
			return list
		}
	}
	return first
}
