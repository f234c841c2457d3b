import Delivery
import LogModel
import Ports

/// One process's spool on the simulated disk: one thing at a time, in order, each taking its time. Ends with its process.
///
/// `@unchecked Sendable`: a simulation has one thread.
final class SimulatedSpool: Spool, @unchecked Sendable {
    private struct Work {
        var perform: () -> Void
        /// Its writing half: what may have happened although the answer never came.
        var write: (() -> Void)?
    }

    private unowned let simulation: CollectorSimulation
    private var queue: [Work] = []
    private var isBusy = false
    private var isOver = false

    init(_ simulation: CollectorSimulation) {
        self.simulation = simulation
    }

    var isIdle: Bool { queue.isEmpty && !isBusy }

    /// The process was killed: what was under way may have been written, nobody will know.
    func end(using generator: inout some RandomNumberGenerator) {
        isOver = true
        if isBusy, let write = queue.first?.write, Bool.random(using: &generator) { write() }
        queue = []
    }

    // MARK: Spool

    func append(
        _ batch: SpooledBatch,
        durable: Bool,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        simulation.checker.named(batch.lane, batch.stream, batch.sequence, batch.batch)
        let isLie = simulation.canary == .receiptBeforeSpill
        if isLie { completion(.success(())) }
        let isSynced = durable && simulation.canary != .spoolNeverSyncs
        enqueue(fails: true) { [self] failure in
            simulation.trace(
                "spool appends \(batch.lane) \(batch.stream.text)/\(batch.sequence) \(failure?.code ?? "")"
            )
            if let failure { return isLie ? () : completion(.failure(failure)) }
            let byteCount = simulation.disk.now.rows.reduce(0) { $0 + $1.batch.batch.payload.count }
            let isThere = contains(batch)
            if !isThere, byteCount + batch.batch.payload.count > simulation.faults.disk.byteCountMax {
                guard simulation.canary == .spoolDropsOldest, let oldest = simulation.disk.now.rows.first else {
                    let full = SinkError(.transient, code: "SPOOL_FULL", "append to the spool: its limit is reached")
                    return isLie ? () : completion(.failure(full))
                }
                let name = oldest.batch
                simulation.disk.change(.remove(name.lane, name.stream, through: name.sequence), isSynced: true)
            }
            insert(batch, isSynced: isSynced)
            if !isLie { completion(.success(())) }
        } write: { [self] in
            insert(batch, isSynced: isSynced)
        }
    }

    private func contains(_ batch: SpooledBatch) -> Bool {
        simulation.disk.now.rows.contains {
            $0.batch.lane == batch.lane && $0.batch.stream == batch.stream && $0.batch.sequence == batch.sequence
        }
    }

    private func insert(_ batch: SpooledBatch, isSynced: Bool) {
        guard !contains(batch) else { return isSynced ? simulation.disk.sync() : () }
        let row = simulation.disk.newRow(batch, hash: BatchContent(batch.batch).hash)
        simulation.disk.change(.insert(row), isSynced: isSynced)
    }

    func head(
        of lane: Lane,
        byteCountMax: Int,
        completion: @escaping @Sendable (Result<SpoolHead?, SinkError>) -> Void
    ) {
        enqueue(fails: true) { [self] failure in
            if let failure { return completion(.failure(failure)) }
            let head = head(of: lane)
            simulation.trace(
                "spool reads \(lane) \(head.map { "\($0.stream.text) \($0.batches.map(\.sequence))" } ?? "nothing")"
            )
            completion(.success(head))
        } write: {
        }
    }

    /// The stream whose lowest sequence came in first, and its rows as far as they follow each other.
    private func head(of lane: Lane) -> SpoolHead? {
        setDamagedAside(lane)
        var lowest: [StreamID: SimulatedDisk.Row] = [:]
        for row in simulation.disk.now.rows where row.batch.lane == lane {
            if let known = lowest[row.batch.stream], known.batch.sequence < row.batch.sequence { continue }
            lowest[row.batch.stream] = row
        }
        guard let first = lowest.values.min(by: { $0.id < $1.id }) else { return nil }
        let stream = first.batch.stream
        var batches: [SpooledBatch] = []
        // Small portions: many edges.
        let portion = simulation.draw(in: 1...6)
        let rows = simulation.disk.now.rows.filter { $0.batch.lane == lane && $0.batch.stream == stream }
        for row in rows.sorted(by: { $0.batch.sequence < $1.batch.sequence }).prefix(portion) {
            if let last = batches.last, row.batch.sequence != last.sequence + 1 { break }
            batches.append(row.batch)
        }
        return SpoolHead(stream: stream, previous: first.batch.sequence - 1, batches: batches)
    }

    private func setDamagedAside(_ lane: Lane) {
        for row in simulation.disk.now.rows
        where row.batch.lane == lane && simulation.chance(simulation.faults.disk.damaged) {
            // Synced: the sink goes on behind the hole, and a row that came back would be taken for applied.
            simulation.trace("spool finds \(lane) \(row.batch.stream.text)/\(row.batch.sequence) damaged")
            simulation.disk.change(.setAside(row), isSynced: simulation.canary != .damagedRowComesBack)
        }
    }

    func remove(
        lane: Lane,
        stream: StreamID,
        through sequence: Int64,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        enqueue(fails: true) { [self] failure in
            simulation.trace("spool removes \(lane) \(stream.text) through \(sequence) \(failure?.code ?? "")")
            if let failure { return completion(.failure(failure)) }
            simulation.disk.change(.remove(lane, stream, through: sequence), isSynced: false)
            completion(.success(()))
        } write: { [self] in
            simulation.disk.change(.remove(lane, stream, through: sequence), isSynced: false)
        }
    }

    /// The simulated sink refuses whole batches, so nothing is left of one; parts are in DeliveryTests/LaneSimulation.
    func setAside(_ batches: [SetAsideBatch], completion: @escaping @Sendable (Result<Void, SinkError>) -> Void) {
        precondition(batches.allSatisfy { $0.rest == nil }, "the simulated sink names no parts")
        let rows = batches.map { simulation.disk.newRow($0.batch, hash: BatchContent($0.batch.batch).hash) }
        enqueue(fails: true) { [self] failure in
            for row in rows {
                simulation.trace(
                    "spool sets aside \(row.batch.lane) \(row.batch.stream.text)/\(row.batch.sequence) \(failure?.code ?? "")"
                )
            }
            if let failure { return completion(.failure(failure)) }
            for row in rows { simulation.disk.change(.setAside(row), isSynced: true) }
            completion(.success(()))
        } write: { [self] in
            for row in rows { simulation.disk.change(.setAside(row), isSynced: true) }
        }
    }

    /// No simulated person sends dead letters again.
    func replay(
        deadLetter id: Int64,
        of lane: Lane,
        as name: (stream: StreamID, sequence: Int64),
        completion: @escaping @Sendable (Result<Replay, SinkError>) -> Void
    ) {
        completion(.success(.unknown))
    }

    func sourcePositions(
        completion: @escaping @Sendable (Result<[(position: SourcePosition, lane: Lane?)], SinkError>) -> Void
    ) {
        completion(.success(positionsKept()))
    }

    /// What a start finds; a copy that says that nothing came after it says so once.
    func positionsKept() -> [(position: SourcePosition, lane: Lane?)] {
        let found = simulation.disk.now.positions
        for entry in found where entry.position.isFinal {
            var copy = entry.position
            copy.isFinal = false
            simulation.disk.change(.keep(copy), isSynced: true)
        }
        return found
    }

    func keep(
        _ position: SourcePosition,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        enqueue(fails: true) { [self] failure in
            if let failure { return completion(.failure(failure)) }
            simulation.disk.change(.keep(position), isSynced: true)
            completion(.success(()))
        } write: { [self] in
            simulation.disk.change(.keep(position), isSynced: true)
        }
    }

    func syncedUsage(completion: @escaping @Sendable (Result<[Lane: SpoolUsage], SinkError>) -> Void) {
        enqueue(fails: true) { [self] failure in
            if let failure { return completion(.failure(failure)) }
            simulation.disk.sync()
            completion(.success(simulation.disk.usage()))
        } write: { [self] in
            simulation.disk.sync()
        }
    }

    // MARK: The thread

    private func enqueue(fails: Bool, _ body: @escaping (SinkError?) -> Void, write: @escaping () -> Void) {
        guard !isOver else { return }
        let failure: SinkError? =
            fails && simulation.chance(simulation.faults.disk.fails)
            ? SinkError(.transient, code: "SQLITE_IOERR", "use the spool: input/output error") : nil
        queue.append(Work(perform: { body(failure) }, write: failure == nil ? write : nil))
        startNext()
    }

    private func startNext() {
        guard !isBusy, !queue.isEmpty else { return }
        isBusy = true
        let isSlow = simulation.chance(simulation.faults.disk.slow)
        simulation.later(
            .microseconds(isSlow ? simulation.draw(in: 50_000...3_000_000) : simulation.draw(in: 100...5000))
        ) {
            [self] in
            guard !isOver else { return }
            queue.removeFirst().perform()
            isBusy = false
            startNext()
        }
    }
}
