package dataset_test

import (
	"fmt"

	"referralhub/contracts"
	"referralhub/hub/dataset"
)

func ExampleCut() {
	referral, _ := contracts.For("referral/1")
	doc, err := referral.ParseDataset([]byte(`{"carer": {"name": {"given": "Mo", "family": "Quill"}, "date_of_birth": "1951-03-17"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	given, _ := referral.Lookup("carer.name.given")
	born, _ := referral.Lookup("carer.date_of_birth")
	var permitted contracts.ItemSet
	part := dataset.Part{
		Items:     permitted.With(given.Index).With(born.Index),
		Transform: map[int]contracts.Transform{born.Index: contracts.YearOnly},
	}
	body, err := dataset.Cut(doc, []dataset.Part{part})
	fmt.Println(string(body), err)
	// Output: {"carer":{"name":{"given":"Mo"},"date_of_birth":"1951"}} <nil>
}
