import HTTPWire
import Testing

@Suite struct RequestBodyTests {
    private func chunked(_ body: String, _ lines: String...) -> String {
        (["POST /ingest HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"] + lines + ["", body]).joined(
            separator: "\r\n"
        )
    }

    @Test func `a body has the length that is said, and the next request follows`() {
        let reading = read(post("Content-Length: 5", body: "hello") + post("Content-Length: 0") + post(body: ""))
        #expect(reading.end == .clean)
        #expect(reading.requests.map { String(decoding: $0.body, as: UTF8.self) } == ["hello", "", ""])
        #expect(read(post("Content-Length: 6", body: "hello")).end == .cut(hasHead: true))
        #expect(read(post("Content-Length: 005", body: "hello")).only != nil)
    }

    @Test(arguments: ["-5", "+5", "5 5", "5,5", "5, 5", "0x5", "5a", "", " ", "5.0", "５", "1e1", "\"5\""])
    func `a length that is no plain number is refused`(_ value: String) {
        #expect(read(post("Content-Length: \(value)", body: "hello")).fault == .length)
    }

    @Test func `two lengths are refused, alike or not`() {
        #expect(read(post("Content-Length: 5", "Content-Length: 5", body: "hello")).fault == .repeated)
        #expect(read(post("Content-Length: 5", "Content-Length: 6", body: "hello")).fault == .repeated)
    }

    @Test(arguments: ["1048577", "9223372036854775807", "9223372036854775808", "99999999999999999999999999999999"])
    func `a length past the bound is refused before the body`(_ value: String) {
        #expect(read(post("Content-Length: \(value)")).fault == .bodyTooLarge)
    }

    @Test func `a length and chunks together are refused, in either order`() {
        #expect(read(chunked("0\r\n\r\n", "Content-Length: 5")).fault == .lengthTwice)
        #expect(read(post("Content-Length: 5", "Transfer-Encoding: chunked", body: "0\r\n\r\n")).fault == .lengthTwice)
    }

    @Test(arguments: [
        "gzip", "gzip, chunked", "chunked, chunked", "chunked,", "identity", "xchunked", "chunked;q=1", "",
        "chunked gzip",
        "\"chunked\"", "\u{B}chunked",
    ])
    func `another transfer coding is refused`(_ value: String) {
        let fault = read(post("Transfer-Encoding: \(value)", body: "0\r\n\r\n")).fault
        #expect(fault == .coding || fault == .fieldLine)
    }

    @Test func `chunked is refused twice, and in HTTP/1_0`() {
        #expect(read(chunked("0\r\n\r\n", "Transfer-Encoding: chunked")).fault == .coding)
        #expect(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").fault == .coding)
    }

    @Test(arguments: [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "hello world"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"), ("a;x=1;y=\"2\"\r\n0123456789\r\n000;z\r\n\r\n", "0123456789"),
        ("000000000000005\r\nhello\r\n0\r\n\r\n", "hello"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("5\r\nhello\r\n0\r\nX-Trailer: a\r\nY: b\r\n\r\n", "hello"),
    ])
    func `chunks are put together`(_ text: String, _ body: String) {
        let reading = read(chunked(text) + post())
        #expect(reading.requests.count == 2)
        #expect(reading.requests.first.map { String(decoding: $0.body, as: UTF8.self) } == body)
        #expect(reading.end == .clean)
    }

    @Test(arguments: [
        "hello", "\r\n", "5 \r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n",
        "-5\r\n", "+5\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello!\r\n", "g\r\n", ";x\r\n",
        "5;a\u{0}\r\n",
        "5\rhello", "5\r\nhello\r0", "00000000000000005\r\nhello\r\n", "5;\(String(repeating: "x", count: 1025))\r\n",
    ])
    func `a chunk of another form is refused`(_ text: String) {
        #expect(read(chunked(text)).fault == .chunk)
    }

    @Test(arguments: ["X\r\n\r\n", " X: a\r\n\r\n", "X: a\n\r\n", "X : a\r\n\r\n", "X: a\u{0}\r\n\r\n", "\rX"])
    func `a trailer of another form is refused`(_ text: String) {
        #expect(read(chunked("0\r\n" + text)).fault == .trailer)
    }

    @Test func `chunks, their extensions and trailers have bounds`() {
        let bounds = RequestBounds(bodyByteCountMax: 10)
        #expect(read(chunked("a\r\n0123456789\r\n0\r\n\r\n"), bounds).only?.body.count == 10)
        #expect(read(chunked("b\r\n"), bounds).fault == .bodyTooLarge)
        #expect(read(chunked("5\r\nhello\r\n6\r\n"), bounds).fault == .bodyTooLarge)
        #expect(read(chunked("ffffffffffffffff\r\n"), bounds).fault == .bodyTooLarge)
        #expect(read(chunked("7fffffffffffffff\r\n"), bounds).fault == .bodyTooLarge)
        let extended = String(repeating: "1;\(String(repeating: "x", count: 299))\r\na\r\n", count: 4)
        #expect(read(chunked(extended), bounds).fault == .chunk)
        let trailer = String(repeating: "X: \(String(repeating: "v", count: 1000))\r\n", count: 17)
        #expect(read(chunked("0\r\n" + trailer), bounds).fault == .headTooLarge)
        #expect(read(chunked("0\r\n" + String(repeating: "X:\r\n", count: 101)), bounds).fault == .headTooLarge)
    }

    @Test func `framing of small chunks is not kept`() {
        let head = Array(chunked("").utf8)
        let reading = read([head] + (0..<2000).map { _ in Array("1\r\nx\r\n".utf8) })
        #expect(reading.end == .cut(hasHead: true))
        #expect(reading.keptByteCountMax < head.count + 2000 + 16)
    }
}
