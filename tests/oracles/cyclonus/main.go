// Judges connections with the engine of cyclonus, the conformance fuzzer from which the policy assistant of
// network-policy-api descends.
//
// Reads one JSON object a line: {"policies": [NetworkPolicy...], "connections": [{source, destination, port, name,
// protocol}...]}, and answers with one JSON array of booleans a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

type end struct {
	IP              string            `json:"ip"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
}

type connection struct {
	Source      end    `json:"source"`
	Destination end    `json:"destination"`
	Port        int    `json:"port"`
	Name        string `json:"name"`
	Protocol    string `json:"protocol"`
}

type question struct {
	Policies    []*networking.NetworkPolicy `json:"policies"`
	Connections []connection                `json:"connections"`
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 0, 1<<20), 1<<26)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var asked question
		if err := json.Unmarshal(input.Bytes(), &asked); err != nil {
			fail(err)
		}
		if err := output.Encode(judge(asked)); err != nil {
			fail(err)
		}
	}
	if err := input.Err(); err != nil {
		fail(err)
	}
}

func judge(asked question) []bool {
	policy := matcher.BuildNetworkPolicies(false, asked.Policies)
	answers := make([]bool, 0, len(asked.Connections))
	for _, item := range asked.Connections {
		result := policy.IsTrafficAllowed(&matcher.Traffic{
			Source:           peer(item.Source),
			Destination:      peer(item.Destination),
			ResolvedPort:     item.Port,
			ResolvedPortName: item.Name,
			Protocol:         core.Protocol(item.Protocol),
		})
		answers = append(answers, result.IsAllowed())
	}
	return answers
}

func peer(from end) *matcher.TrafficPeer {
	if from.Namespace == "" {
		return &matcher.TrafficPeer{IP: from.IP}
	}
	return &matcher.TrafficPeer{IP: from.IP, Internal: &matcher.InternalPeer{
		PodLabels: from.Labels, NamespaceLabels: from.NamespaceLabels, Namespace: from.Namespace,
	}}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
