import LogModel
import Testing

@testable import LogboomCommand

struct DateTextTests {
    /// 2025-03-30T00:30:00Z: half an hour before Europe's clocks go forward.
    private static let now = date("2025-03-30T00:30:00Z")

    private static func date(_ text: String) -> Timestamp {
        DateText.rfc3339(text) ?? Timestamp(nanoseconds: .min)
    }

    /// Berlin: one hour ahead, two from 2025-03-30T01:00:00Z.
    private static let berlin = DateText(now: now) { $0 < date("2025-03-30T01:00:00Z") ? 3600 : 7200 }
    private static let newYork = DateText(now: now) { _ in -4 * 3600 }

    private static let sinceBerlin: [(text: String, start: String)] = [
        ("-30s", "2025-03-30T00:29:30Z"), ("-30m", "2025-03-30T00:00:00Z"), ("-1h", "2025-03-29T23:30:00Z"),
        ("1h", "2025-03-29T23:30:00Z"), ("-2d", "2025-03-28T00:30:00Z"), ("-1w", "2025-03-23T00:30:00Z"),
        ("0s", "2025-03-30T00:30:00Z"), ("now", "2025-03-30T00:30:00Z"), ("today", "2025-03-29T23:00:00Z"),
        ("Yesterday", "2025-03-28T23:00:00Z"), ("2025-01-15T10:30:45Z", "2025-01-15T10:30:45Z"),
        ("2025-01-15T10:30:45.5+05:30", "2025-01-15T05:00:45.5Z"), ("2025-01-15", "2025-01-14T23:00:00Z"),
        ("2025-01-15 10:30", "2025-01-15T09:30:00Z"), ("2025-06-15 10:30", "2025-06-15T08:30:00Z"),
        ("2025-03-30 03:30", "2025-03-30T01:30:00Z"),
    ]

    @Test(arguments: sinceBerlin)
    func `a start is a date, a span or a day, local unless it has a zone`(row: (text: String, start: String)) {
        #expect(Self.berlin.since(row.text) == Self.date(row.start))
    }

    @Test func `west of Greenwich yesterday is still another day`() {
        #expect(Self.newYork.since("today") == Self.date("2025-03-29T04:00:00Z"))
        #expect(Self.newYork.since("yesterday") == Self.date("2025-03-28T04:00:00Z"))
    }

    @Test(arguments: [
        "", "-", "h", "-h", "1", "-1", "1x", "--1h", "1.5h", "- 1h", "tomorrow", "2025-02-30", "2025-13-01", "10:30",
        "1h ago",
        "99999999999999999999h", "9223372036854775807w", "-300000w", "１h",
    ])
    func `anything else is refused`(text: String) {
        #expect(Self.berlin.since(text) == nil)
    }

    @Test(arguments: [
        ("2025-03-30T00:30:00Z", "now"), ("2025-03-30T00:29:59Z", "1s ago"), ("2025-03-30T00:29:01Z", "59s ago"),
        ("2025-03-30T00:29:00Z", "1m ago"), ("2025-03-29T23:30:01Z", "59m ago"), ("2025-03-29T23:30:00Z", "1h ago"),
        ("2025-03-29T00:30:01Z", "23h ago"), ("2025-03-29T00:30:00Z", "1d ago"), ("1970-01-01T00:00:00Z", "20177d ago"),
        ("2025-03-30T00:31:00Z", "now"), ("2025-03-30T00:31:01Z", "ahead"),
    ])
    func `an age is short`(row: (date: String, age: String)) {
        #expect(Self.berlin.age(Self.date(row.date)) == row.age)
    }

    @Test func `dates at the ends of the range make no trap`() {
        for end in [Int64.min, .max] {
            let far = DateText(now: Timestamp(nanoseconds: end)) { _ in 50_400 }
            _ = far.age(Timestamp(nanoseconds: end == .max ? .min : .max))
            _ = far.time(Timestamp(nanoseconds: end))
            _ = far.since("-1h")
        }
    }

    @Test func `a time is local`() {
        #expect(Self.berlin.time(Self.date("2025-01-15T23:59:59.9Z")) == "00:59:59")
        #expect(Self.newYork.time(Self.date("2025-01-15T00:00:00Z")) == "20:00:00")
    }
}
