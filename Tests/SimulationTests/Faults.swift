import LogModel
import PipelineTesting

/// What goes wrong in one run, all of it drawn from the seed. Each kind is left out of about half the runs (swarm testing: A.
/// Groce and others, "Swarm Testing", 2012): faults that are always there together hide what each does alone.
struct Faults {
    /// Chances in percent of each call of a sink.
    struct Sink {
        var slow = 0
        /// The answer goes missing after the sink has applied.
        var answerLost = 0
        /// The request goes missing; the sink never sees it.
        var requestLost = 0
        /// The caller gets no answer, and the request arrives all the same, later: a socket that outlives its process.
        var requestLate = 0
        /// Refused with what only a person can mend.
        var permanent = 0
        /// Times at which the sink goes away, and for how long; half of the outages swallow requests instead of refusing them.
        var outages: [Period] = []
    }

    /// Chances in percent of each call of the spool.
    struct Disk {
        var slow = 0
        var fails = 0
        /// Of a row when it is read: its checksum does not match.
        var damaged = 0
        /// Payload bytes that fit.
        var byteCountMax = 1 << 26
        /// A power cut keeps any part of what was not synced, not only a beginning of it.
        var cutKeepsAnyPart = false
    }

    struct Period {
        var from: Duration
        var length: Duration
        var isBlackHole = false
    }

    enum End: CaseIterable { case kill, powerCut, stop }

    var store = Sink()
    var forward = Sink()
    var disk = Disk()
    /// When the process ends, how, and how long it stays away.
    var ends: [(at: Duration, how: End, downFor: Duration)] = []
    /// When the wall clock is set, and by how many seconds.
    var clockJumps: [(at: Duration, seconds: Int)] = []
    var startsWithUnknownClock = false
    /// In percent of the records: those that no store takes.
    var poison = 0
    /// When somebody changes the configuration.
    var reconfigurations: [Duration] = []

    /// Adds what a canary needs that shows itself only after a rare row of events: else it would take a thousand runs to see it.
    mutating func provoke(_ canary: Canary) {
        func ends(_ how: End) -> [(at: Duration, how: End, downFor: Duration)] {
            stride(from: 10, to: 90, by: 8).map { (.seconds($0), how, .milliseconds(100)) }
        }
        switch canary {
        case .sinkForgetsAtStart:
            self.ends = ends(.kill)
            store.requestLate = 30
        case .damagedRowComesBack:
            self.ends = ends(.powerCut)
            store.requestLost = 30
            disk.damaged = 30
        case .sinkForgetsPositions: self.ends = ends(.powerCut)
        case .diskForgetsPositions:
            self.ends = ends(.powerCut)
            store.outages = [Period(from: .seconds(5), length: .seconds(40))]
        case .intentIsNotKept:
            self.ends = ends(.kill)
            store.answerLost = 30
            store.slow = 20
        case .sinkForgets, .receiptBeforeSpill, .spoolDropsOldest, .spoolNeverSyncs, .sinkTearsSpan: break
        }
    }

    /// Draws a run's faults; they fall into its first `length`.
    static func drawn(over length: Duration, using generator: inout SeededGenerator) -> Faults {
        var faults = Faults()
        func percent(_ top: Int) -> Int {
            Bool.random(using: &generator) ? Int.random(in: 1...top, using: &generator) : 0
        }
        func time() -> Duration { .milliseconds(Int.random(in: 0...Int(length.seconds * 1000), using: &generator)) }
        func times(_ top: Int) -> [Duration] {
            Bool.random(using: &generator)
                ? (0..<Int.random(in: 1...top, using: &generator)).map { _ in time() } : []
        }
        func sink() -> Sink {
            Sink(
                slow: percent(20),
                answerLost: percent(20),
                requestLost: percent(15),
                requestLate: percent(15),
                permanent: percent(5),
                outages: times(4).map { from in
                    // From a blip to longer than the ceiling of the pauses.
                    let scale = [200, 3000, 30_000, 100_000].randomElement(using: &generator) ?? 3000
                    return Period(
                        from: from,
                        length: .milliseconds(Int.random(in: 1...scale, using: &generator)),
                        isBlackHole: Bool.random(using: &generator)
                    )
                }
            )
        }
        faults.store = sink()
        faults.forward = sink()
        faults.disk = Disk(
            slow: percent(20),
            fails: percent(15),
            damaged: percent(3),
            byteCountMax: Bool.random(using: &generator) ? 1 << 26 : Int.random(in: 0...20_000, using: &generator),
            cutKeepsAnyPart: Bool.random(using: &generator)
        )
        faults.ends = times(5).sorted().map {
            (
                $0, End.allCases.randomElement(using: &generator) ?? .kill,
                .milliseconds(Int.random(in: 20...5000, using: &generator))
            )
        }
        faults.startsWithUnknownClock = Int.random(in: 0..<4, using: &generator) == 0
        faults.clockJumps = times(3).map {
            ($0, [-3600, -1, 1, 3600, 86_400 * 365].randomElement(using: &generator) ?? 1)
        }
        faults.poison = percent(3)
        faults.reconfigurations = times(2)
        return faults
    }
}

/// A bug put in on purpose: the checks must find it, or they check nothing.
enum Canary: String, Sendable, CaseIterable {
    /// The sink forgets what it applied.
    case sinkForgets
    /// The spool answers before the row is written.
    case receiptBeforeSpill
    /// A full spool drops its oldest row to take the new one.
    case spoolDropsOldest
    /// The spool does not sync what somebody waits for.
    case spoolNeverSyncs
    /// The sink applies a span's first batch only, and says all of it.
    case sinkTearsSpan
    /// Found, once a real one: the sink forgets a dead stream at a start, while a request in it is still on its way.
    case sinkForgetsAtStart
    /// Found, once a real one: a damaged row is set aside without a sync, and a power cut brings it back.
    case damagedRowComesBack
    /// The store keeps a stretch's batch without its position.
    case sinkForgetsPositions
    /// The disk keeps a stretch's batch, and loses its position in a power cut.
    case diskForgetsPositions
    /// A process tells the next one of a stretch only once there is a receipt for it.
    case intentIsNotKept
}
