// Validates Istio's ServiceEntries with Istio's own code.
//
// Reads one ServiceEntry in JSON a line, decodes its spec strictly, validates it as Istio's webhook does, and answers with
// one JSON object a line: {"errors": [...]}, empty where Istio accepts it; its warnings are errors here.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/validation"
)

type question struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

type answer struct {
	Errors []string `json:"errors"`
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 0, 1<<20), 1<<26)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		if err := output.Encode(judge(input.Bytes())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(line []byte) answer {
	result := answer{Errors: []string{}}
	complain := func(err error) answer {
		result.Errors = append(result.Errors, err.Error())
		return result
	}
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return complain(err)
	}
	if asked.APIVersion != "networking.istio.io/v1" || asked.Kind != "ServiceEntry" {
		return complain(fmt.Errorf("not a ServiceEntry: %s %s", asked.APIVersion, asked.Kind))
	}
	var entry networking.ServiceEntry
	if err := protojson.Unmarshal(asked.Spec, &entry); err != nil {
		return complain(err)
	}
	meta := config.Meta{GroupVersionKind: gvk.ServiceEntry, Name: asked.Metadata.Name, Namespace: asked.Metadata.Namespace}
	warning, err := validation.ValidateServiceEntry(config.Config{Meta: meta, Spec: &entry})
	if err != nil {
		return complain(err)
	}
	if warning != nil {
		return complain(warning)
	}
	return result
}
