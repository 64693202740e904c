// Judges seat histories by linearizability: reads one JSON document a line, {"seat", "ops"}, from standard input, and
// writes {"seat", "verdict"} for each: "ok", "illegal" or "unknown" (it took too long).
//
// A seat is one register: free, held by a fan until an instant, or sold. Holds end by themselves when their time is
// over. It shares no code and no idea with the checkers of harness/audit: it searches for an order.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 20 * time.Second

// Op is one operation on the seat; times in ns, Return far in the future where nobody knows.
type Op struct {
	Kind   string `json:"kind"`  // hold | touch | give_back | gone | sale
	Fan    string `json:"fan"`   // who did it
	Claim  string `json:"claim"` // the hold
	Order  string `json:"order"` // of a sale
	Call   int64  `json:"call"`
	Return int64  `json:"return"`
	Until  int64  `json:"until"` // of a hold: its fan may count on the seat until then
}

// History is what happened to one seat.
type History struct {
	Seat string `json:"seat"`
	Ops  []Op   `json:"ops"`
}

// seat is the register. Claims are those of one fan, "claim=until" sorted, as a string so that states compare with ==.
type seat struct {
	order  string // sold if not empty
	sold   string // the hold that was sold
	fan    string
	claims string
	now    int64 // no later operation can have its effect before
}

func parse(claims string) map[string]int64 {
	found := map[string]int64{}
	for _, one := range strings.Fields(claims) {
		at := strings.LastIndexByte(one, '=')
		until, err := strconv.ParseInt(one[at+1:], 10, 64)
		if err != nil {
			panic(err)
		}
		found[one[:at]] = until
	}
	return found
}

func format(claims map[string]int64) string {
	parts := make([]string, 0, len(claims))
	for claim, until := range claims {
		parts = append(parts, fmt.Sprintf("%s=%d", claim, until))
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

// free is the instant from which the seat is free of all claims but those of the fan and of the hold that is exempt.
func (s seat) free(fan, exempt string) int64 {
	at := s.now
	if s.fan == fan {
		return at
	}
	for claim, until := range parse(s.claims) {
		if claim != exempt {
			at = max(at, until)
		}
	}
	return at
}

func step(state, input, _ interface{}) (bool, interface{}) {
	s, op := state.(seat), input.(Op)
	s.now = max(s.now, op.Call)
	switch op.Kind {
	case "hold":
		if s.order != "" {
			return s.sold == op.Claim && s.now <= op.Return, s
		}
		s.now = s.free(op.Fan, "")
		claims := parse(s.claims)
		if s.fan != op.Fan {
			claims = map[string]int64{}
		}
		claims[op.Claim] = max(claims[op.Claim], op.Until)
		s.fan, s.claims = op.Fan, format(claims)
	case "touch": // granted, but nothing was promised any more when the fan heard of it
		if s.order != "" && s.sold != op.Claim {
			return false, s
		}
	case "give_back": // may have ended the hold
		claims := parse(s.claims)
		delete(claims, op.Claim)
		s.claims = format(claims)
	case "gone": // the fan was told that the hold is over
		if until, held := parse(s.claims)[op.Claim]; held {
			s.now = max(s.now, until)
		}
	case "sale":
		if s.order != "" && s.order != op.Order {
			return false, s
		}
		s.now = s.free(op.Fan, op.Claim)
		s.order, s.sold, s.fan, s.claims = op.Order, op.Claim, "", ""
	default:
		panic("unknown kind " + op.Kind)
	}
	return s.now <= op.Return, s
}

func main() {
	model := porcupine.Model{Init: func() interface{} { return seat{now: -1 << 62} }, Step: step}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<28)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var history History
		if err := json.Unmarshal(lines.Bytes(), &history); err != nil {
			fmt.Fprintln(os.Stderr, "not a history:", err)
			os.Exit(2)
		}
		ops := make([]porcupine.Operation, len(history.Ops))
		for at, op := range history.Ops {
			ops[at] = porcupine.Operation{ClientId: at, Input: op, Call: op.Call, Return: op.Return}
		}
		verdict := porcupine.CheckOperationsTimeout(model, ops, patience)
		word := map[porcupine.CheckResult]string{
			porcupine.Ok: "ok", porcupine.Illegal: "illegal", porcupine.Unknown: "unknown",
		}[verdict]
		answer, err := json.Marshal(map[string]string{"seat": history.Seat, "verdict": word})
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(out, string(answer))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
