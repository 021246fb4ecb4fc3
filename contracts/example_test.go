package contracts_test

import (
	"errors"
	"fmt"

	"referralhub/contracts"
)

func ExampleContract_Parse() {
	receipt, _ := contracts.For("receipt/1")
	_, err := receipt.Parse([]byte(`{"contract": "receipt/1", "status": "perhaps", "when": "2026-11-20T09:00:00Z"}`))
	var invalid *contracts.InvalidError
	if errors.As(err, &invalid) {
		for _, f := range invalid.Faults {
			fmt.Println(f.Pointer, f.Rule)
			fmt.Println("  ", f.Detail)
			fmt.Println("  ", f.Remedy)
		}
	}
	// Output:
	// /status enum
	//    status is none of the values the contract lists
	//    use one of: received, accepted, declined, more-information, completed
	// /when unknown-item
	//    when is no item of this contract
	//    leave it out, or ask for it to be added to the contract
	// /at required
	//    at is missing
	//    add it; the contract cannot do without it
}

func ExampleContract_Lookup() {
	referral, _ := contracts.For("referral/1")
	item, _ := referral.Lookup("cared_for.condition")
	fmt.Println(item.Role, item.Category, item.Special)
	// Output: cared_for health true
}
