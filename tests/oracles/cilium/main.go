// Validates the rules of CiliumNetworkPolicies with Cilium's own code.
//
// Reads one CiliumNetworkPolicy in JSON a line, decodes its spec strictly into the rule that Cilium's agent enforces, and
// answers with one JSON object a line: {"errors": [...]}, empty where the agent accepts it.
// A line {"pattern": "*.x", "names": [...]} is answered with those of the names that the agent's DNS proxy lets pass.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/cilium/cilium/pkg/fqdn/matchpattern"
	"github.com/cilium/cilium/pkg/policy/api"
)

type question struct {
	Kind    string          `json:"kind"`
	Spec    json.RawMessage `json:"spec"`
	Pattern string          `json:"pattern"`
	Names   []string        `json:"names"`
}

type answer struct {
	Errors  []string `json:"errors"`
	Matched []string `json:"matched"`
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
	result := answer{Errors: []string{}, Matched: []string{}}
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		result.Errors = append(result.Errors, err.Error())
		return result
	}
	if asked.Pattern != "" {
		match(asked, &result)
		return result
	}
	if asked.Kind != "CiliumNetworkPolicy" {
		result.Errors = append(result.Errors, "not a CiliumNetworkPolicy: "+asked.Kind)
		return result
	}
	var rule api.Rule
	decoder := json.NewDecoder(bytes.NewReader(asked.Spec))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rule); err != nil {
		result.Errors = append(result.Errors, err.Error())
		return result
	}
	if err := rule.Sanitize(); err != nil {
		result.Errors = append(result.Errors, err.Error())
	}
	return result
}

func match(asked question, result *answer) {
	matcher, err := matchpattern.ValidateWithoutCache(matchpattern.Sanitize(asked.Pattern))
	if err != nil {
		result.Errors = append(result.Errors, err.Error())
		return
	}
	for _, name := range asked.Names {
		if matcher.MatchString(name + ".") {
			result.Matched = append(result.Matched, name)
		}
	}
}
