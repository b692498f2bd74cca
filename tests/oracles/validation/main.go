// Validates NetworkPolicy documents with the API server's own code.
//
// Reads one JSON document a line, decodes it strictly with the API server's defaults, validates it as on creation,
// and answers with one JSON object a line: {"errors": [...]} (empty: accepted) and what the defaults made of policyTypes.
// A line {"labelSelector": "..."} is parsed as kubectl parses -l, and answered with errors and the requirements.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

type answer struct {
	Errors       []string      `json:"errors"`
	PolicyTypes  []string      `json:"policyTypes"`
	Requirements []requirement `json:"requirements,omitempty"`
}

type requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

func main() {
	codecs := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	decoder := codecs.UniversalDecoder(schema.GroupVersion{Group: "networking.k8s.io", Version: runtime.APIVersionInternal})
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 0, 1<<20), 1<<26)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		if err := output.Encode(judge(decoder, input.Bytes())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(decoder runtime.Decoder, line []byte) answer {
	result := answer{Errors: []string{}, PolicyTypes: []string{}}
	var question struct {
		LabelSelector *string `json:"labelSelector"`
	}
	if json.Unmarshal(line, &question) == nil && question.LabelSelector != nil {
		parse(*question.LabelSelector, &result)
		return result
	}
	object, err := runtime.Decode(decoder, line)
	if err != nil {
		result.Errors = append(result.Errors, err.Error())
		return result
	}
	policy, ok := object.(*networking.NetworkPolicy)
	if !ok {
		result.Errors = append(result.Errors, fmt.Sprintf("not a NetworkPolicy: %T", object))
		return result
	}
	if policy.Namespace == "" {
		policy.Namespace = "default"
	}
	for _, failure := range validation.ValidateNetworkPolicy(policy, validation.NetworkPolicyValidationOptions{}) {
		result.Errors = append(result.Errors, failure.Error())
	}
	for _, kind := range policy.Spec.PolicyTypes {
		result.PolicyTypes = append(result.PolicyTypes, string(kind))
	}
	return result
}

func parse(text string, result *answer) {
	selector, err := labels.Parse(text)
	if err != nil {
		result.Errors = append(result.Errors, err.Error())
		return
	}
	found, _ := selector.Requirements()
	for _, item := range found {
		result.Requirements = append(result.Requirements, requirement{
			Key: item.Key(), Operator: string(item.Operator()), Values: item.Values().List(),
		})
	}
}
