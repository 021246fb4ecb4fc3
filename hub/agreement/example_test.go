package agreement_test

import (
	"fmt"
	"os"
	"time"

	"referralhub/hub/agreement"
	sharingagreements "referralhub/sharing-agreements"
)

func ExampleLoad() {
	x, faults, err := agreement.Load(sharingagreements.Files, time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	if ok, err := agreement.Check(os.Stdout, faults); !ok || err != nil {
		return // somebody has to mend the files first
	}
	for _, f := range x.Candidates("carers-in-hertfordshire", "age-uk-hertfordshire") {
		fmt.Println(f.ID, f.Purpose, f.Basis)
	}
	// Output:
	// hertswise@1#refer referral.service Art 6(1)(a) with Art 9(2)(a)
	// community-navigators@1#refer navigation Art 6(1)(a) with Art 9(2)(a)
}
