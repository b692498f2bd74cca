// Validates NetworkPolicy documents with the API server's own code.
//
// Reads one JSON document a line, decodes it strictly with the API server's defaults, validates it as on creation,
// and answers with one JSON object a line: {"errors": [...]} (empty: accepted) and what the defaults made of policyTypes.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

type answer struct {
	Errors      []string `json:"errors"`
	PolicyTypes []string `json:"policyTypes"`
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
