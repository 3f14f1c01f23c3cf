// The device's cell of `products.sv`, for yosys' techmap.
module ICE40_PRODUCTS #(
  parameter HALVES = 0, SIGNED = 1
) (
  input CLK,
  input [15:0] A, B,
  output [31:0] O
);
  SB_MAC16 #(
    .MODE_8x8(HALVES), .A_SIGNED(SIGNED), .B_SIGNED(SIGNED), .TOP_8x8_MULT_REG(HALVES), .BOT_8x8_MULT_REG(HALVES),
    .PIPELINE_16x16_MULT_REG2(!HALVES), .TOPOUTPUT_SELECT(HALVES ? 2'b10 : 2'b11), .BOTOUTPUT_SELECT(HALVES ? 2'b10 : 2'b11)
  ) u_mac (
    .CLK(CLK), .CE(1'b1), .A(A), .B(B), .C(16'd0), .D(16'd0), .O(O),
    .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0), .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0),
    .OLOADTOP(1'b0), .OLOADBOT(1'b0), .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0), .CI(1'b0),
    .ACCUMCI(1'b0), .SIGNEXTIN(1'b0));
endmodule
