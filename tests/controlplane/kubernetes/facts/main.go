// Prints, for every built-in API type, how its Go fields print and read JSON.
//
// OpenAPI does not tell a pointer from a value, nor what is left out when it is empty; both decide
// what a server stores when a client sends `0`, `""` or `[]`. One JSON object on stdout:
// OpenAPI definition name -> JSON field name -> [Go type, flags]; flags: p pointer, o omitempty,
// z omitzero.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

type facts map[string]map[string][2]string

// definition is the OpenAPI name of a Go type: the domain reversed, slashes as dots.
func definition(t reflect.Type) string {
	path, rest, _ := strings.Cut(t.PkgPath(), "/")
	parts := strings.Split(path, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}

func goType(t reflect.Type) string {
	if t.Kind() == reflect.Ptr {
		return goType(t.Elem())
	}
	return t.String()
}

func (f facts) visit(t reflect.Type) {
	for t.Kind() == reflect.Ptr || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || f[definition(t)] != nil {
		return
	}
	fields := map[string][2]string{}
	f[definition(t)] = fields
	f.fields(t, fields)
}

func (f facts) fields(t reflect.Type, into map[string][2]string) {
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag, ok := field.Tag.Lookup("json")
		if !ok || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if field.Anonymous && name == "" {
			f.fields(field.Type, into)
			continue
		}
		flags := ""
		if field.Type.Kind() == reflect.Ptr {
			flags += "p"
		}
		if strings.Contains(options, "omitempty") {
			flags += "o"
		}
		if strings.Contains(options, "omitzero") {
			flags += "z"
		}
		into[name] = [2]string{goType(field.Type), flags}
		f.visit(field.Type)
	}
}

func main() {
	found := facts{}
	for _, t := range scheme.Scheme.AllKnownTypes() {
		found.visit(t)
	}
	found.visit(reflect.TypeOf(apiextensions.CustomResourceDefinition{}))
	json.NewEncoder(os.Stdout).Encode(found)
}
