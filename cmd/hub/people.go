package main

import (
	"encoding/json"
	"fmt"

	"referralhub/contracts"
	"referralhub/hub/transfer"
)

// nhsNumber gives the n-th NHS number of the range 999 that is kept for tests; nobody has one of these.
func nhsNumber(n int) string {
	for ; ; n++ {
		digits := fmt.Sprintf("999%06d", n%1_000_000)
		for check := '0'; check <= '9'; check++ {
			if number := digits + string(check); contracts.ValidNHSNumber(number) {
				return number
			}
		}
	}
}

// message is an example referral that a story changes to its needs.
type message map[string]any

// adultCarer is the example of an adult carer who is referred for Hertswise, with consent.
func adultCarer() (message, error) { return example("adult-carer-hertswise") }

func example(name string) (message, error) {
	text, err := contracts.Example(name)
	if err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read the example %s: %w", name, err)
	}
	return m, nil
}

// about makes the message one about somebody else.
func (m message) about(id, given, family, nhs, caseNumber string) message {
	m["message_id"] = id
	carer := m["carer"].(map[string]any)
	carer["name"] = map[string]any{"given": given, "family": family}
	carer["nhs_number"], carer["case_number"] = nhs, caseNumber
	delete(m, "cared_for")
	delete(m, "household")
	return m
}

func (m message) to(recipients ...transfer.PartnerID) message {
	m["recipients"] = recipients
	return m
}

func (m message) json() []byte {
	text, err := json.Marshal(map[string]any(m))
	if err != nil {
		panic("a message that was read from JSON is not JSON: " + err.Error())
	}
	return text
}
