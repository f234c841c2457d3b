import LogModel
import Pipeline
import PipelineTesting
import Ports

/// The journal of the simulated machine: it outlives processes and, but for its last entries, power cuts.
struct SimulatedJournal {
    struct Entry {
        /// Its cursor; never given twice.
        var id: Int
        var message: String
        var severity: Severity
    }

    private(set) var entries: [Entry] = []
    /// Entries that a power cut took: they may have been counted, but nobody can say.
    private(set) var lost: Set<Int> = []
    private var nextID = 1

    /// The source of an entry's record: each has one of its own, so that each can be followed.
    static func source(_ id: Int) -> String { "j\(id)" }

    mutating func write(using generator: inout SeededGenerator) {
        entries.append(
            Entry(
                id: nextID,
                message: SimulatedSenders.messages.randomElement(using: &generator) ?? "ready",
                severity: Severity.allCases.randomElement(using: &generator) ?? .info
            )
        )
        nextID += 1
    }

    /// What journald had not synced is gone.
    mutating func cut(using generator: inout SeededGenerator) {
        for entry in entries.suffix(Int.random(in: 0...3, using: &generator)) { lost.insert(entry.id) }
        entries.removeAll { lost.contains($0.id) }
    }

    func entries(after id: Int, through end: Int?, limit: Int) -> ArraySlice<Entry> {
        entries.drop { $0.id <= id }.prefix { entry in end.map { entry.id <= $0 } ?? true }.prefix(limit)
    }
}

/// One process's reader of the simulated journal.
///
/// `@unchecked Sendable`: a simulation has one thread.
final class SimulatedJournalReader: ReplayableSource, @unchecked Sendable {
    private unowned let simulation: CollectorSimulation
    private var place = 0
    private var end: Int?
    private var reads: [@Sendable (SourceChunk) -> Void] = []
    private var isBusy = false

    init(_ simulation: CollectorSimulation) {
        self.simulation = simulation
    }

    var status: SourceStatus { SourceStatus() }
    /// Whether everything there is was handed over, and taken: who reads asks for more then.
    var isAtEnd: Bool {
        reads.count == SourceRunner.readCountMax
            && simulation.journal.entries(after: place, through: nil, limit: 1).isEmpty
    }

    func seek(_ start: SourceStart, through end: String?) {
        switch start {
        case .first: place = 0
        case .at(let cursor): place = (Int(cursor) ?? 1) - 1
        case .after(let cursor): place = Int(cursor) ?? 0
        }
        self.end = end.flatMap { Int($0) }
    }

    func read(_ completion: @escaping @Sendable (SourceChunk) -> Void) {
        reads.append(completion)
        work()
    }

    /// Something was written, or asked for.
    func work() {
        guard !isBusy, !reads.isEmpty else { return }
        let found = simulation.journal.entries(after: place, through: end, limit: simulation.draw(in: 1...20))
        guard !found.isEmpty || end != nil else { return }
        isBusy = true
        simulation.later(.microseconds(simulation.draw(in: 100...5000))) { [weak self] in self?.answer(found) }
    }

    private func answer(_ found: ArraySlice<SimulatedJournal.Entry>) {
        isBusy = false
        guard !reads.isEmpty else { return }
        var chunk = SourceChunk()
        for entry in found {
            SimulatedSenders.Record(
                message: entry.message,
                severity: entry.severity,
                source: SimulatedJournal.source(entry.id)
            ).add(to: &chunk)
        }
        if let last = found.last {
            place = last.id
            chunk.cursor = String(last.id)
        }
        if let end { chunk.isLast = simulation.journal.entries(after: place, through: end, limit: 1).isEmpty }
        simulation.trace("journal hands over \(found.map(\.id)) \(chunk.isLast ? "last" : "")")
        reads.removeFirst()(chunk)
        work()
    }

    func close(completion: @escaping @Sendable () -> Void) {
        completion()
    }
}
