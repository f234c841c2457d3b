import Foundation
import LogModel
import RecordDecoding

/// A record's values copied out of the decoder's views, in a form that tests can state.
struct SeenRecord: Equatable {
    var message = ""
    var severity: Severity?
    var source = ""
    var host = ""
    var tenant = ""
    var dashboard = ""
    var timestamp: String?
    var latency: Double?
    var attributes: [String: String] = [:]

    init(_ record: LogRecord) {
        message = Self.text(record.message)
        severity = record.severity
        source = Self.text(record.source)
        host = Self.text(record.host)
        tenant = Self.text(record.tenant)
        dashboard = Self.text(record.dashboard)
        timestamp = record.timestamp?.rfc3339
        latency = record.latencyMilliseconds
        for attribute in record.attributes { attributes[Self.text(attribute.key)] = Self.text(attribute.value) }
    }

    private static func text(_ view: ByteView) -> String {
        String(decoding: view, as: UTF8.self)
    }
}

struct Decoded {
    var records: [SeenRecord]
    var result: Result<BodySummary, MalformedBody>

    var summary: BodySummary? { try? result.get() }
    var malformed: MalformedBody? {
        guard case .failure(let body) = result else { return nil }
        return body
    }
    /// `accepted/failed`, or `malformed at N`.
    var outcome: String {
        switch result {
        case .success(let summary): "\(summary.accepted)/\(summary.failed)"
        case .failure(let body): "malformed at \(body.offset)"
        }
    }
}

/// Decodes a body that lies in a block of exactly its size.
func decode(
    _ body: [UInt8],
    type: String? = "application/json",
    requiresTenant: Bool = false,
    using decoder: BodyDecoder = BodyDecoder(),
    refusing: @escaping (Int) -> RecordRefusal? = { _ in nil }
) -> Decoded {
    seeing(body, type, refusing) { body, type, accept in
        decoder.decode(body, contentType: type, rules: RecordRules(requiresTenant: requiresTenant), accept: accept)
    }
}

/// The same as it comes in at a path.
func decode(
    _ body: [UInt8],
    at route: IntakeRoute,
    type: String?,
    tenant: String = "",
    using decoder: BodyDecoder = BodyDecoder()
) -> Decoded {
    let tenant = Array(tenant.utf8)
    return seeing(body, type, { _ in nil }) { body, type, accept in
        tenant.withUnsafeBufferPointer { tenant in
            decoder.decode(body, at: route, contentType: type, tenant: tenant, accept: accept)
        }
    }
}

private func seeing(
    _ body: [UInt8],
    _ type: String?,
    _ refusing: @escaping (Int) -> RecordRefusal?,
    _ decode: (ByteView, ByteView?, (LogRecord) -> RecordRefusal?) -> Result<BodySummary, MalformedBody>
) -> Decoded {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: body.count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: body)
    var records: [SeenRecord] = []
    var offered = 0
    let typeBytes = Array((type ?? "").utf8)
    let result = typeBytes.withUnsafeBufferPointer { typeView in
        decode(ByteView(copy), type == nil ? nil : typeView) { record in
            defer { offered += 1 }
            if let refusal = refusing(offered) { return refusal }
            records.append(SeenRecord(record))
            return nil
        }
    }
    return Decoded(records: records, result: result)
}

func decode(
    _ body: String,
    type: String? = "application/json",
    requiresTenant: Bool = false,
    refusing: @escaping (Int) -> RecordRefusal? = { _ in nil }
) -> Decoded {
    decode(Array(body.utf8), type: type, requiresTenant: requiresTenant, refusing: refusing)
}

/// The one record of a body that must hold exactly one.
func soleRecord(_ body: String) -> SeenRecord? {
    let decoded = decode(body)
    return decoded.outcome == "1/0" ? decoded.records.first : nil
}
