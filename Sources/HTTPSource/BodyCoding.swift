internal import Compression
internal import HTTPServing
internal import HTTPWire
internal import LogModel

extension Routes {
    /// Gives the request on with its body as it was before the sender compressed it, or answers why it cannot be read.
    func expand(_ request: HTTPRequest, _ responder: Responder, _ take: (HTTPRequest) -> Void) {
        guard let text = request.header(.contentEncoding), !text.equals(lowercase: "identity") else {
            return take(request)
        }
        guard let coding = Self.coding(text) else {
            return answer(
                responder,
                .problem(
                    .unsupportedMediaType,
                    "Send the body as it is, or with Content-Encoding gzip or deflate.",
                    headers: [("Accept-Encoding", "gzip, deflate, identity")]
                )
            )
        }
        let byteCountMax = server?.bounds.bodyByteCountMax ?? Limits.bodyByteCountMax
        do throws(Inflate.Failure) {
            let body = try Inflate.expanded(request.body, coding, byteCountMax: byteCountMax)
            guard let server else { return body.withUnsafeBufferPointer { take(request.with(body: $0)) } }
            server.withExpandedBody(body.count) { body.withUnsafeBufferPointer { take(request.with(body: $0)) } }
        } catch {
            switch error {
            case .tooLarge:
                let detail = "The body has more than \(byteCountMax) bytes once it is expanded; send it in parts."
                answer(responder, .problem(.contentTooLarge, detail))
            case .damaged:
                let detail = "The body is not what its Content-Encoding says, or was cut short."
                answer(responder, .problem(.badRequest, detail))
            }
        }
    }

    /// The coding of that name (RFC 9110, 8.4.1); `nil` for another one, and for several.
    private static func coding(_ text: HTTPText) -> Inflate.Coding? {
        if text.equals(lowercase: "gzip") || text.equals(lowercase: "x-gzip") { return .gzip }
        return text.equals(lowercase: "deflate") ? .deflate : nil
    }
}
