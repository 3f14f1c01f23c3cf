// A product in 2 clocks, in one of the device's multipliers: registers before and behind it. For ECP5 they are the multiplier's own,
// which synthesis would not use: the product leaves its column of the device when it is complete. Operands are at its upper end,
// with zeros behind them, so that no sign is wired to ten inputs.
module multiplier #(
  parameter int A = 8, B = 8,  // at most 18
  parameter bit SIGNED = 1
) (
  input  logic clk,
  input  logic [A-1:0] a,
  input  logic [B-1:0] b,
  output logic [A+B-1:0] p
);
`ifdef ECP5
  wire [17:0] x = 18'(a) << (18 - A);
  wire [17:0] y = 18'(b) << (18 - B);
  wire [35:0] full;
  MULT18X18D #(
    .REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE0"), .REG_INPUTA_RST("RST0"),
    .REG_INPUTB_CLK("CLK0"), .REG_INPUTB_CE("CE0"), .REG_INPUTB_RST("RST0"),
    .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE0"), .REG_OUTPUT_RST("RST0")
  ) u_mult (
    .A0(x[0]), .A1(x[1]), .A2(x[2]), .A3(x[3]), .A4(x[4]), .A5(x[5]), .A6(x[6]), .A7(x[7]), .A8(x[8]),
    .A9(x[9]), .A10(x[10]), .A11(x[11]), .A12(x[12]), .A13(x[13]), .A14(x[14]), .A15(x[15]), .A16(x[16]), .A17(x[17]),
    .B0(y[0]), .B1(y[1]), .B2(y[2]), .B3(y[3]), .B4(y[4]), .B5(y[5]), .B6(y[6]), .B7(y[7]), .B8(y[8]),
    .B9(y[9]), .B10(y[10]), .B11(y[11]), .B12(y[12]), .B13(y[13]), .B14(y[14]), .B15(y[15]), .B16(y[16]), .B17(y[17]),
    .C0(1'b0), .C1(1'b0), .C2(1'b0), .C3(1'b0), .C4(1'b0), .C5(1'b0), .C6(1'b0), .C7(1'b0), .C8(1'b0),
    .C9(1'b0), .C10(1'b0), .C11(1'b0), .C12(1'b0), .C13(1'b0), .C14(1'b0), .C15(1'b0), .C16(1'b0), .C17(1'b0),
    .SIGNEDA(SIGNED), .SIGNEDB(SIGNED), .SOURCEA(1'b0), .SOURCEB(1'b0), .CLK0(clk), .CE0(1'b1), .RST0(1'b0),
    .P0(full[0]), .P1(full[1]), .P2(full[2]), .P3(full[3]), .P4(full[4]), .P5(full[5]), .P6(full[6]), .P7(full[7]),
    .P8(full[8]), .P9(full[9]), .P10(full[10]), .P11(full[11]), .P12(full[12]), .P13(full[13]), .P14(full[14]),
    .P15(full[15]), .P16(full[16]), .P17(full[17]), .P18(full[18]), .P19(full[19]), .P20(full[20]), .P21(full[21]),
    .P22(full[22]), .P23(full[23]), .P24(full[24]), .P25(full[25]), .P26(full[26]), .P27(full[27]), .P28(full[28]),
    .P29(full[29]), .P30(full[30]), .P31(full[31]), .P32(full[32]), .P33(full[33]), .P34(full[34]), .P35(full[35]));
  assign p = full[35:36-A-B];
`else
  logic signed [A:0] x;
  logic signed [B:0] y;
  always_ff @(posedge clk) begin
    x <= {SIGNED & a[A-1], a};
    y <= {SIGNED & b[B-1], b};
    p <= x * y;
  end
`endif
endmodule
