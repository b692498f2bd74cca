// Lists and compares connections with np-guard's netpol-analyzer.
//
// Reads one JSON object a line, {"list": FOLDER} or {"old": FOLDER, "new": FOLDER}, and answers with one JSON object a
// line: {"rows": [{source, destination, before, after}...]} with ports as {"TCP": [[first, last]...]}, all in `after` for
// a list; or {"error": TEXT}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/np-guard/netpol-analyzer/pkg/netpol/connlist"
	"github.com/np-guard/netpol-analyzer/pkg/netpol/diff"
)

type question struct {
	List string `json:"list"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

type ports map[string][][2]int64

type row struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Before      ports  `json:"before"`
	After       ports  `json:"after"`
}

type allowed interface {
	AllProtocolsAndPorts() bool
}

func list(folder string) ([]row, error) {
	analyzer := connlist.NewConnlistAnalyzer(connlist.WithMuteErrsAndWarns())
	found, _, err := analyzer.ConnlistFromDirPath(folder)
	if err != nil {
		return nil, err
	}
	rows := []row{}
	for _, one := range found {
		after := ports{}
		for protocol, ranges := range one.ProtocolsAndPorts() {
			for _, some := range ranges {
				after[string(protocol)] = append(after[string(protocol)], [2]int64{some.Start(), some.End()})
			}
		}
		rows = append(rows, row{one.Src().String(), one.Dst().String(), ports{}, everything(one, after)})
	}
	return rows, nil
}

func compare(old, new string) ([]row, error) {
	found, err := diff.NewDiffAnalyzer().ConnDiffFromDirPaths(old, new)
	if err != nil {
		return nil, err
	}
	rows := []row{}
	for _, some := range [][]diff.SrcDstDiff{found.AddedConnections(), found.RemovedConnections(), found.ChangedConnections()} {
		for _, one := range some {
			before, after := ports{}, ports{}
			for protocol, ranges := range one.Ref1Connectivity().ProtocolsAndPorts() {
				for _, found := range ranges {
					before[string(protocol)] = append(before[string(protocol)], [2]int64{found.Start(), found.End()})
				}
			}
			for protocol, ranges := range one.Ref2Connectivity().ProtocolsAndPorts() {
				for _, found := range ranges {
					after[string(protocol)] = append(after[string(protocol)], [2]int64{found.Start(), found.End()})
				}
			}
			before, after = everything(one.Ref1Connectivity(), before), everything(one.Ref2Connectivity(), after)
			rows = append(rows, row{one.Src().String(), one.Dst().String(), before, after})
		}
	}
	return rows, nil
}

func everything(which allowed, found ports) ports {
	if which.AllProtocolsAndPorts() {
		return ports{"TCP": {{1, 65535}}, "UDP": {{1, 65535}}, "SCTP": {{1, 65535}}}
	}
	return found
}

func main() {
	log.SetOutput(io.Discard)
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	for input.Scan() {
		var asked question
		if err := json.Unmarshal(input.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var rows []row
		var err error
		if asked.List != "" {
			rows, err = list(asked.List)
		} else {
			rows, err = compare(asked.Old, asked.New)
		}
		answer := map[string]any{"rows": rows}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		text, err := json.Marshal(answer)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(string(text))
	}
}
