// Memory with one port; data come a clock after the address. What is read while it is written is not defined, and in simulation it
// is wrong. On iCE40 UltraPlus it is SPRAM: 16 bits wide and 2^14 words deep each.
module single #(
  parameter int W = 32,
  parameter int DL = 14  // log2 of the depth
) (
  input  logic clk,
  input  logic we,
  input  logic [DL-1:0] at,
  input  logic [W-1:0] wd,
  output logic [W-1:0] rd
);
`ifdef ICE40
  for (genvar h = 0; h < W / 16; h++) begin : g_half
    SB_SPRAM256KA u_spram (
      .CLOCK(clk), .ADDRESS(14'(at)), .DATAIN(wd[h*16+:16]), .MASKWREN(4'b1111), .WREN(we), .CHIPSELECT(1'b1),
      .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1), .DATAOUT(rd[h*16+:16]));
  end
`else
  logic [W-1:0] mem[0:(1<<DL)-1];
  always_ff @(posedge clk) begin
    if (we) mem[at] <= wd;
    rd <= we ? ~mem[at] : mem[at];
  end
`endif
endmodule
