// Package dates counts the days that the law and the notices give: a month for a request, working days for a complaint, 72 hours for a
// breach, financial years for keeping (domain.md sections 10.0 to 10.4). It is pure: it knows no clock, and bank holidays are data.
//
// A Date is a day on the calendar, without a time. A receipt is dated where the partners are: what comes at 23:30Z on 30 June comes on
// 1 July, because it is half past midnight in London then.
//
//	calendar := dates.EnglandAndWales()
//	due := calendar.Month(dates.On(received))
//	due.Date    // 2026-03-02, for what came on Saturday 31 January 2026
//	due.Warning // empty, unless the date may have to be moved by hand
//
// # How days are counted
//
//   - A month ends on the same day of the next month, or on its last day where there is no such day (Art 12A UK GDPR).
//   - A month that ends on a day on which nobody works ends on the next working day. A working day is Monday to Friday and no bank holiday.
//   - The day of receipt is day 0 of a month and of working days, and day 1 of the thirty days that the statute gives for acknowledging a
//     complaint, because its text counts from "when the complaint is received" (DPA 2018 s.164A). Those are not moved to a working day:
//     an alarm may be early and not late.
//   - Days on which the clock stands are added to the end before it is moved to a working day. The days of asking and of receipt both count
//     as standing.
//   - Hours are hours: nights, weekends and the change to summer time do not stop them (Art 33).
//   - Years of keeping are financial years, 1 April to 31 March, and destroying may take one more (rule 001-38).
//
// # Bank holidays
//
// They are read from bank-holidays.json, which has the form of https://www.gov.uk/bank-holidays.json: a new year is added by pasting what is
// published there. Most could be computed, but a proclamation moves or adds one every few years (2020, 2022 twice, 2023), so a day after
// the last year on file is counted without bank holidays and says so: see Due.Warning and Calendar.Expiring.
package dates
