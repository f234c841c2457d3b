import Glibc
import JSONBytes
import LogModel
import RecordDecoding

// The fuzz target of the decoders: what packaging/fuzz builds and libFuzzer calls with bytes of its choice. An input is a
// request as it stands on the wire, so that the fixtures of RecordDecodingTests are its corpus: the path chooses the decoder,
// `Content-Type` the form. A promise that is broken ends the process, and libFuzzer keeps the input.

private func check(_ holds: Bool, _ promise: StaticString) {
    guard !holds else { return }
    let report = "BROKEN PROMISE: \(promise)\n"
    _ = Array(report.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    abort()
}

/// A request's path, content type and body. What has no head is a body for `/ingest`.
private struct Request {
    var route = IntakeRoute.table[0]
    var contentType: ArraySlice<UInt8>?
    var body: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        body = bytes[...]
        guard bytes.starts(with: Array("POST /".utf8)) else { return }
        let ending = Array("\r\n\r\n".utf8)
        guard let end = (0..<bytes.count).first(where: { bytes[$0...].starts(with: ending) }) else { return }
        body = bytes[(end + 4)...]
        let path = bytes[5..<end].prefix { $0 > 0x20 }
        route =
            IntakeRoute.table.first {
                path.elementsEqual(UnsafeBufferPointer(start: $0.path.utf8Start, count: $0.path.utf8CodeUnitCount))
            } ?? route
        let name = Array("Content-Type: ".utf8)
        for start in 0..<end where bytes[start...].starts(with: name) {
            contentType = bytes[(start + name.count)..<end].prefix { $0 != 0x0D }
        }
    }
}

/// What a run left behind, comparable.
private struct Outcome: Equatable {
    var result: Result<BodySummary, MalformedBody>
    /// Everything the records held, hashed.
    var digest: UInt64 = 0
    var count = 0
}

/// One decoder for all inputs, as a daemon has: nothing of one body may reach the next.
nonisolated(unsafe) private let used = BodyDecoder()

private func run(_ request: Request, _ decoder: BodyDecoder) -> Outcome {
    // Blocks of exactly their size: AddressSanitizer finds a byte read beyond them.
    let body = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: request.body.count)
    defer { body.deallocate() }
    _ = body.initialize(from: request.body)
    let type = Array(request.contentType ?? [])
    var outcome = Outcome(result: .success(BodySummary()))
    let tenant = Array("t".utf8)
    outcome.result = type.withUnsafeBufferPointer { type in
        tenant.withUnsafeBufferPointer { tenant in
            decoder.decode(
                ByteView(body),
                at: request.route,
                contentType: request.contentType == nil ? nil : type,
                tenant: tenant
            ) { record in
                outcome.count += 1
                look(at: record, &outcome.digest)
                return nil
            }
        }
    }
    return outcome
}

private func look(at record: LogRecord, _ digest: inout UInt64) {
    check(record.message.contains { $0 > 0x20 }, "a record has a message")
    check(record.message.count <= RecordLimits.messageByteCountMax, "a message stays within its bound")
    check(record.attributes.count <= RecordLimits.attributeCountMax, "attributes stay within their number")
    func add(_ view: ByteView) { digest = digest &* 31 &+ XXH64.hash(view) }
    add(record.message)
    for name in [record.source, record.host, record.tenant, record.dashboard] {
        check(name.count <= RecordLimits.nameByteCountMax, "a name stays within its bound")
        add(name)
    }
    for attribute in record.attributes {
        check(attribute.key.count <= RecordLimits.attributeKeyByteCountMax, "a key stays within its bound")
        check(attribute.value.count <= RecordLimits.attributeValueByteCountMax, "a value stays within its bound")
        add(attribute.key)
        add(attribute.value)
    }
    digest = digest &* 31 &+ UInt64(bitPattern: record.timestamp?.nanoseconds ?? -1)
    digest = digest &* 31 &+ (record.latencyMilliseconds ?? -1).bitPattern
    digest = digest &* 31 &+ UInt64(record.severity.map { Int($0.rawValue) + 1 } ?? 0)
}

/// Whether a body is an array of records on a path of ours; if so, whether it is JSON.
private func isJSONArray(_ request: Request) -> Bool? {
    let first = request.body.first { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }
    guard first == UInt8(ascii: "["), request.contentType == nil,
        request.route.path.description == IntakeRoute.table[0].path.description
    else { return nil }
    return request.body.withUnsafeBufferPointer { text in
        do throws(JSONSyntaxError) { try JSONValidator.validate(text) } catch { return false }
        return true
    }
}

private func check(_ request: Request) {
    let outcome = run(request, used)
    if let isJSON = isJSONArray(request) {
        let isTaken = if case .success = outcome.result { true } else { false }
        check(isTaken == isJSON, "an array is taken when it is JSON, and only then")
    }
    switch outcome.result {
    case .success(let summary):
        check(summary.received == summary.accepted + summary.failed, "received is accepted and failed")
        check(summary.accepted == outcome.count, "accepted is what was handed over")
        check(summary.errors.count == min(summary.failed, BodySummary.errorCountMax), "failed records are listed")
        check(summary.errors.allSatisfy { (0..<summary.received).contains($0.index) }, "an error names a record")
        check(
            summary.errors.allSatisfy { (0...request.body.count).contains($0.offset ?? 0) },
            "an error's place is in the body"
        )
        check(
            request.route.answer(.taken(summary, isOverdue: false)).map { $0.status < 300 } ?? true,
            "taken is answered 2xx"
        )
    case .failure(let malformed):
        check(outcome.count == 0, "what cannot be read as a whole leaves nothing behind")
        check((0...request.body.count).contains(malformed.offset), "the place is in the body")
        check(request.route.answer(.malformed(malformed)).map { $0.status >= 400 } ?? true, "malformed is answered 4xx")
    }
    check(outcome == run(request, BodyDecoder()), "a decoder keeps nothing of one body for the next")
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    check(Request(Array(UnsafeBufferPointer(start: data, count: count))))
    return 0
}
