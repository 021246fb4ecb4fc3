package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"referralhub/cmd/partner/client"
	"referralhub/hub/auth"
	"referralhub/hub/transfer"
)

// A casework system hands in a referral, and a person is told what became of it.
func ExampleClient_Send() {
	text, err := os.ReadFile("hub-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := auth.ParseKeys(text)
	if err != nil {
		log.Fatal(err)
	}
	hub, err := client.New(client.Config{BaseURL: "https://hub.example", System: "carers-in-hertfordshire/casework", Key: keys[0]})
	if err != nil {
		log.Fatal(err)
	}
	referral, err := os.ReadFile("referral.json")
	if err != nil {
		log.Fatal(err)
	}
	result, err := hub.Send(context.Background(), referral)
	var problem *client.Problem
	if errors.As(err, &problem) {
		fmt.Println(problem) // what is wrong, where, and what to do about it
		return
	}
	if err != nil {
		log.Fatal(err) // the hub cannot be reached: send the same bytes again later
	}
	for _, t := range result.Transfers {
		fmt.Println(t.Summary())
	}
}

// A recipient takes what waits, a page at a time, keeps it, and says so. Inbox waits up to 30 seconds, so this loop asks twice a minute.
func ExampleClient_Inbox() {
	var hub *client.Client // see ExampleClient_Send
	ctx := context.Background()
	for after := ""; ; {
		page, err := hub.Inbox(ctx, after, 0, 30*time.Second)
		if err != nil {
			log.Fatal(err)
		}
		if len(page.Entries) == 0 {
			continue
		}
		after = page.Next
		var waiting []transfer.TransferID
		for _, e := range page.Entries {
			waiting = append(waiting, e.TransferID)
		}
		collected, err := hub.CollectAll(ctx, waiting)
		if err != nil {
			log.Fatal(err)
		}
		var kept []client.Acknowledgement
		for _, c := range collected {
			if c.Problem != nil {
				log.Print(c.Problem) // it may have been withdrawn meanwhile
				continue
			}
			if err := os.WriteFile(string(c.Body.TransferID)+".json", c.Body.Raw, 0o600); err != nil {
				log.Fatal(err) // collect it again later
			}
			kept = append(kept, client.Acknowledgement{TransferID: c.Body.TransferID, Receipt: client.Receipt{Status: "received"}})
		}
		if _, err := hub.AcknowledgeAll(ctx, kept); err != nil {
			log.Print(err) // collect them again, or say it later
		}
	}
}
